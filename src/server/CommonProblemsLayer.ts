import { Effect } from "effect"
import { HttpApiMiddleware } from "effect/http-api"
import { CommonProblems } from "../api/CommonProblems.ts"
import { invalidRequest } from "./invalidRequest.ts"

export const CommonProblemsLayer = HttpApiMiddleware.layerSchemaErrorTransform(
  CommonProblems,
  (error) =>
    error.kind === "Body" || error.kind === "ResponseHeaders"
      ? Effect.die(error.cause)
      : Effect.fail(
        invalidRequest(
          error.kind === "Payload" ? "body" : error.kind.toLowerCase(),
          error.cause.issue,
        ),
      ),
)
