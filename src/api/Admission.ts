/**
 * How many requests are let in, and for how long each may take.
 */
import { Context } from "effect"
import { HttpApiMiddleware } from "effect/http-api"
import { DatabaseUnavailable, Overloaded } from "./problems.ts"

/** Annotates an endpoint whose work grows with the data, so that no deadline fits it. */
export const LongRunning = Context.Reference<boolean>("latchkey/api/LongRunning", {
  defaultValue: () => false,
})

/** Turns requests away at once that could not be answered in time. */
export class Admission extends HttpApiMiddleware.Service<Admission>()("latchkey/api/Admission", {
  error: [Overloaded, DatabaseUnavailable],
}) {}
