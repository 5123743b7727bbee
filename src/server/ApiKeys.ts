/**
 * The keys that the service knows.
 */
import { hash, timingSafeEqual } from "node:crypto"
import { Context, Effect, Layer, Option, Ref, Schedule } from "effect"
import type { ApiKey, Scope } from "../domain/ApiKey.ts"

type Find = (key: string) => Option.Option<ApiKey>

/** Whether a key has a scope. */
export const mayUse = ({ scopes }: ApiKey, scope: Scope): boolean =>
  scopes.includes(scope) || scopes.includes("*")

const makeFind = (keys: ReadonlyArray<ApiKey>): Find => {
  const known = keys.map((key) => ({ key, digest: Buffer.from(key.sha256.toLowerCase()) }))
  return (key) => {
    const digest = Buffer.from(hash("sha256", key))
    // All are compared, each in constant time, so that the time taken tells nothing.
    const matching = known.filter((entry) => timingSafeEqual(entry.digest, digest))
    return Option.fromNullishOr(matching[0]?.key)
  }
}

export class ApiKeys extends Context.Service<ApiKeys, {
  /** The entry of a key, if it is known. */
  readonly find: Find
}>()("latchkey/server/ApiKeys") {
  /** Keys that stay as they are. */
  static readonly layer = (keys: ReadonlyArray<ApiKey>) =>
    Layer.succeed(ApiKeys, ApiKeys.of({ find: makeFind(keys) }))

  /**
   * Keys that are loaded again and again, so that one can be added or withdrawn without a restart.
   * What cannot be loaded leaves the keys as they were, and is told once.
   */
  static readonly layerReloading = <E extends { readonly message: string }, R>(
    keys: ReadonlyArray<ApiKey>,
    load: Effect.Effect<ReadonlyArray<ApiKey>, E, R>,
  ) =>
    Layer.effect(
      ApiKeys,
      Effect.gen(function* () {
        const text = yield* Ref.make(JSON.stringify(keys))
        let find = makeFind(keys)

        const whenNew = (state: string, then: Effect.Effect<void>) =>
          Effect.flatMap(
            Ref.getAndSet(text, state),
            (before) => before === state ? Effect.void : then,
          )
        const reload = Effect.matchEffect(load, {
          onSuccess: (loaded) => {
            find = makeFind(loaded)
            return whenNew(JSON.stringify(loaded), Effect.logInfo("The API keys were loaded anew"))
          },
          onFailure: ({ message }) =>
            whenNew(message, Effect.logError(`The API keys stay as they are: ${message}`)),
        })
        yield* Effect.forkScoped(Effect.schedule(reload, Schedule.spaced("5 seconds")))
        return ApiKeys.of({ find: (key) => find(key) })
      }),
    )
}
