import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../../api/Api.ts"
import type { LoginAttemptsApi } from "../../api/LoginAttemptsApi.ts"
import * as Problem from "../../api/problems.ts"
import type { Email } from "../../domain/Email.ts"
import type { IpAddress } from "../../domain/IpAddress.ts"
import type { Origin } from "../../repositories/loginAttempts/countLoginFailures.ts"
import { LoginAttemptRepository } from "../../repositories/loginAttempts/LoginAttemptRepository.ts"
import { toProblem } from "../problems/toProblem.ts"
import type { HandlersOf } from "./HandlersOf.ts"

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

  const handlers: HandlersOf<typeof LoginAttemptsApi> = {
    create: ({ payload, headers }) =>
      attempts.create(payload, { idempotencyKey: headers["idempotency-key"] }).pipe(
        toProblem,
        Effect.catchTag("UserNotFound", () => new Problem.ReferencedUserNotFound({})),
      ),
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
