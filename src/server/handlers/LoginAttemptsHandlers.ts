import { Effect, Option } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../../api/Api.ts"
import type { LoginAttemptsApi } from "../../api/LoginAttemptsApi.ts"
import * as Problem from "../../api/problems.ts"
import type { Email } from "../../domain/Email.ts"
import type { IpAddress } from "../../domain/IpAddress.ts"
import type { Origin } from "../../repositories/loginAttempts/countLoginFailures.ts"
import { LoginAttemptRepository } from "../../repositories/loginAttempts/LoginAttemptRepository.ts"
import { toProblem } from "../problems/toProblem.ts"
import { fromCursor, toPageJson } from "./cursors.ts"
import type { HandlersOf } from "./HandlersOf.ts"
import { makeRead } from "./makeRead.ts"
import { toJson as toTokenJson } from "./RefreshTokensHandlers.ts"
import { makeRequireScope } from "./requireScope.ts"
import { toCredentials } from "./UsersHandlers.ts"

const toOrigin = Effect.fnUntraced(function* (
  { email, ipAddress }: {
    readonly email?: Email | undefined
    readonly ipAddress?: IpAddress | undefined
  },
) {
  if (email !== undefined) return { email, ipAddress } satisfies Origin
  if (ipAddress !== undefined) return { ipAddress } satisfies Origin
  return yield* new Problem.InvalidRequest({
    errors: [{ path: "email", message: "Expected email, ipAddress or both" }],
  })
})

/** The handlers of the group, by the names of its endpoints. */
export const makeLoginAttemptsHandlers = Effect.gen(function* () {
  const attempts = yield* LoginAttemptRepository
  const { read } = yield* makeRead
  const requireScope = yield* makeRequireScope

  const handlers: HandlersOf<typeof LoginAttemptsApi> = {
    create: ({ payload, headers }) =>
      attempts.create(payload, { idempotencyKey: headers["idempotency-key"] }).pipe(
        toProblem,
        Effect.catchTag("UserNotFound", () => new Problem.ReferencedUserNotFound({})),
      ),
    begin: Effect.fnUntraced(function* (sent) {
      const withCredentials = sent.query.include !== undefined
      if (withCredentials) yield* requireScope(sent, "credentials:read")
      const begun = yield* toProblem(
        attempts.begin(sent.payload, { idempotencyKey: sent.headers["idempotency-key"] }),
      )
      const { attempt, counts, knownSource } = begun
      const user = Option.getOrNull(Option.map(begun.user, toCredentials))
      return { attempt, counts, knownSource, ...withCredentials ? { user } : {} }
    }),
    complete: Effect.fnUntraced(function* (sent) {
      const { success, failureReason = null, refreshToken = null } = sent.payload
      if (refreshToken !== null) yield* requireScope(sent, "tokens:write")
      const completed = yield* attempts.complete(sent.params.id, {
        success,
        failureReason,
        refreshToken,
      }).pipe(
        toProblem,
        // Where the body has what is wrong with the token.
        Effect.catchTag("InvalidRequest", ({ errors }) =>
          new Problem.InvalidRequest({
            errors: errors.map(({ path, message }) => ({ path: `refreshToken.${path}`, message })),
          })),
        Effect.catchTag("UserNotFound", () => new Problem.ReferencedUserNotFound({})),
      )
      return {
        attempt: completed.attempt,
        refreshToken: Option.getOrNull(Option.map(completed.refreshToken, toTokenJson)),
      }
    }),
    list: Effect.fnUntraced(function* (sent) {
      const { query } = sent
      const origin = yield* toOrigin(query)
      const list = `attempts of ${query.email?.toLowerCase()} from ${query.ipAddress}`
      const after = yield* fromCursor(list, query.cursor)
      const page = yield* toProblem(
        read(sent, ({ attempts }) => attempts.listFrom(origin, { limit: query.limit, after })),
      )
      return toPageJson(list, page, (attempt) => attempt)
    }),
    listForUser: Effect.fnUntraced(function* (sent) {
      const { params, query } = sent
      const list = `attempts of ${params.id}`
      const after = yield* fromCursor(list, query.cursor)
      const page = yield* toProblem(
        read(
          sent,
          ({ attempts }) => attempts.listForUser(params.id, { limit: query.limit, after }),
        ),
      )
      return toPageJson(list, page, (attempt) => attempt)
    }),
    forgive: ({ params }) =>
      Effect.map(toProblem(attempts.forgive(params.id)), (forgivenAt) => ({ forgivenAt })),
    countByUser: ({ params, query }) =>
      attempts.countRecentFailures(params.id, query.minutes).pipe(
        toProblem,
        Effect.map((count) => ({ count })),
      ),
    countByOrigin: Effect.fnUntraced(function* ({ query }) {
      const origin = yield* toOrigin(query)
      const count = yield* toProblem(attempts.countRecentFailuresFrom(origin, query.minutes))
      return { count }
    }),
  }
  return handlers
})

export const LoginAttemptsHandlers = HttpApiBuilder.group(
  Api,
  "loginAttempts",
  (builder) => Effect.map(makeLoginAttemptsHandlers, (handlers) => builder.handleAll(handlers)),
)
