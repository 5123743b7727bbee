/**
 * What can go wrong with any request.
 */
import { HttpApiMiddleware } from "effect/http-api"
import { AnyRequestProblems } from "./problems.ts"

/** Turns what an endpoint's schemas refuse into a problem that names each place. */
export class CommonProblems extends HttpApiMiddleware.Service<CommonProblems>()(
  "latchkey/api/CommonProblems",
  { error: AnyRequestProblems },
) {}
