import { Effect, Layer } from "effect"
import { HttpServerRequest } from "effect/http"
import { HttpApiError } from "effect/http-api"
import type { unhandled } from "effect/Types"
import { CommonProblems } from "../../api/CommonProblems.ts"
import type { InvalidRequest } from "../../api/problems.ts"
import { excessProperties, invalidRequest } from "../problems/invalidRequest.ts"

const toProblem = ({ kind, cause }: HttpApiError.HttpApiSchemaError) =>
  kind === "Body" || kind === "ResponseHeaders"
    ? Effect.die(cause)
    : Effect.fail(invalidRequest(kind === "Payload" ? "body" : kind.toLowerCase(), cause.issue))

/** An endpoint without parameters has no schema for them: they would be ignored. */
const refuseParameters = Effect.flatMap(HttpServerRequest.ParsedSearchParams, (parameters) => {
  const names = Object.keys(parameters)
  return names.length === 0 ? Effect.void : Effect.fail(excessProperties(names))
})

export const CommonProblemsLayer = Layer.succeed(
  CommonProblems,
  (httpEffect, { endpoint }) =>
    Effect.catch(
      endpoint.query === undefined ? Effect.andThen(refuseParameters, httpEffect) : httpEffect,
      (error): Effect.Effect<never, unhandled | InvalidRequest> =>
        HttpApiError.HttpApiSchemaError.is(error) ? toProblem(error) : Effect.fail(error),
    ),
)
