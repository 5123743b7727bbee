import { Effect, Option } from "effect"
import type { Forbidden, Unauthorized } from "../../api/problems.ts"
import type { Scope } from "../../domain/ApiKey.ts"
import { ApiKeys } from "../../operations/ApiKeys.ts"
import { callerOf, refuseCaller } from "../authorize.ts"

/** As much of a request as tells who sent it. */
interface Sent {
  readonly request: { readonly headers: Readonly<Record<string, string | undefined>> }
}

/**
 * Makes a function that refuses callers without a scope which only some requests for an endpoint need;
 * the one that all of them need is checked before.
 */
export const makeRequireScope = Effect.map(
  ApiKeys,
  (keys) => ({ request }: Sent, scope: Scope): Effect.Effect<void, Unauthorized | Forbidden> => {
    const refused = refuseCaller(callerOf(keys, request.headers.authorization), Option.some(scope))
    return refused === undefined ? Effect.void : Effect.fail(refused)
  },
)
