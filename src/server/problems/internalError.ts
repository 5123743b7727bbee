import { type Cause, Effect } from "effect"
import { InternalError } from "../../api/problems.ts"

/** The problem of a request that failed in a way that its endpoint does not declare; logs why. */
export const internalError = (cause: Cause.Cause<unknown>): Effect.Effect<InternalError> =>
  Effect.as(Effect.logError("A request failed unexpectedly", cause), new InternalError({}))
