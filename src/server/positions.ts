/**
 * `Latchkey-Position`: how far the database is that a write has changed, in the answer to it; and how far
 * the one must be that answers a read, in the request.
 */
import type { ServerResponse } from "node:http"
import { Context, Effect, Exit, Option, Predicate } from "effect"
import { HttpMethod } from "effect/http"
import { RequiredScope } from "../api/Authorization.ts"
import { type ReplicasShape, unknownPosition } from "../operations/Replicas.ts"

/** As Node has the names of headers. */
export const positionHeader = "latchkey-position"

/** Whether an endpoint writes: one that has a body may be a question as well, by its scope. */
export const writes = (
  { method, annotations }: {
    readonly method: HttpMethod.HttpMethod
    readonly annotations: Context.Context<never>
  },
): boolean =>
  HttpMethod.hasBody(method) &&
  !Option.exists(Context.getOption(annotations, RequiredScope), (scope) => scope.endsWith(":read"))

/** Whether it is not known if a write was done, or when it will be. */
const isOpen = (exit: Exit.Exit<unknown, unknown>) => {
  if (Exit.isSuccess(exit)) return false
  const error = Exit.findErrorOption(exit)
  return Option.isNone(error) || Predicate.isTagged(error.value, "DatabaseUnavailable")
}

/**
 * Has the answer to a write tell its position, whatever the write ended with: a refusal may have ended
 * a session. Until it is known, also where the answer does not wait for it, reads are the primary's.
 */
export const tellPosition = <A, E, R>(
  write: Effect.Effect<A, E, R>,
  { position }: ReplicasShape,
  response: ServerResponse,
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    response.setHeader(positionHeader, unknownPosition)
    return Effect.onExit(write, (exit) =>
      isOpen(exit) ? Effect.void : Effect.map(position, (text) => {
        if (!response.headersSent) {
          response.setHeader(positionHeader, text)
        }
      }))
  })
