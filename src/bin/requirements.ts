/**
 * What a start needs besides variables that can be used, for `--check-config`; the start itself finds
 * it where it is needed.
 */
import { Effect, Option } from "effect"
import { definitions } from "../config/Config.ts"
import { requireLoopback } from "../operations/DevelopmentKey.ts"
import { type Requirement, valueOf } from "../process/checkConfig.ts"

/** Why `deno task serve` does not start without a database. */
export const databaseMissing =
  "DATABASE_URL or DATABASE_URL_FILE must be set: `deno task serve` brings no database of its " +
  "own; `deno task start` does."

/** Whether it is certain that a variable is not set. */
const isUnset = <A>(value: Option.Option<Option.Option<A>>) => Option.exists(value, Option.isNone)

/** Keys, where others can reach the service. */
export const keys: Requirement = {
  check: Effect.gen(function* () {
    const host = yield* valueOf(definitions.host)
    if (Option.isSome(host) && isUnset(yield* valueOf(definitions.apiKeys))) {
      yield* requireLoopback(host.value)
    }
  }),
}

/** An external database. */
export const externalDatabase: Requirement = {
  check: Effect.gen(function* () {
    if (isUnset(yield* valueOf(definitions.databaseUrl))) {
      return yield* Effect.fail({ message: databaseMissing })
    }
  }),
}
