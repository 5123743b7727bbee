/**
 * The keys that the service knows.
 */
import { createHash, timingSafeEqual } from "node:crypto"
import { Context, Layer, Option, Redacted } from "effect"
import type { ApiKey } from "../domain/ApiKey.ts"

export class ApiKeys extends Context.Service<ApiKeys, {
  /** The entry of a key, if it is known. */
  readonly find: (key: Redacted.Redacted) => Option.Option<ApiKey>
}>()("latchkey/server/ApiKeys") {
  static readonly layer = (keys: ReadonlyArray<ApiKey>) => {
    const known = keys.map((key) => ({ key, digest: Buffer.from(key.sha256, "hex") }))
    return Layer.succeed(
      ApiKeys,
      ApiKeys.of({
        find: (key) => {
          const digest = createHash("sha256").update(Redacted.value(key)).digest()
          // All are compared, each in constant time, so that the time taken tells nothing.
          const matching = known.filter((entry) => timingSafeEqual(entry.digest, digest))
          return Option.fromNullishOr(matching[0]?.key)
        },
      }),
    )
  }
}
