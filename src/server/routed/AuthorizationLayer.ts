import { Context, Effect, Layer, Redacted } from "effect"
import { Authorization, RequiredScope } from "../../api/Authorization.ts"
import { ApiKeys } from "../../operations/ApiKeys.ts"
import { refuseCaller } from "../authorize.ts"

/** Knows keys by their hash, and holds each to its scopes. */
export const AuthorizationLayer = Layer.effect(
  Authorization,
  Effect.gen(function* () {
    const keys = yield* ApiKeys
    return Authorization.of({
      bearer: (httpEffect, { credential, endpoint }) => {
        const scope = Context.getOption(endpoint.annotations, RequiredScope)
        const refused = refuseCaller(keys.find(Redacted.value(credential)), scope)
        return refused === undefined ? httpEffect : Effect.fail(refused)
      },
    })
  }),
)
