import { Context, Effect, Layer, Option, Redacted } from "effect"
import { Authorization, RequiredScope } from "../api/Authorization.ts"
import { Forbidden, Unauthorized } from "../api/problems.ts"
import { ApiKeys, mayUse } from "./ApiKeys.ts"

/** Knows keys by their hash, and holds each to its scopes. */
export const AuthorizationLayer = Layer.effect(
  Authorization,
  Effect.gen(function* () {
    const keys = yield* ApiKeys
    return Authorization.of({
      bearer: (httpEffect, { credential, endpoint }) => {
        const key = keys.find(Redacted.value(credential))
        if (Option.isNone(key)) return Effect.fail(new Unauthorized({}))
        // An endpoint that names no scope is open to nobody.
        const scope = Context.getOption(endpoint.annotations, RequiredScope)
        return Option.isSome(scope) && mayUse(key.value, scope.value)
          ? httpEffect
          : Effect.fail(new Forbidden({}))
      },
    })
  }),
)
