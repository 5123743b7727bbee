import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { LoginAttemptRepository } from "../repositories/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../repositories/RefreshTokenRepository.ts"
import { asProblem } from "./asProblem.ts"

export const MaintenanceHandlers = HttpApiBuilder.group(
  Api,
  "maintenance",
  Effect.fnUntraced(function* (handlers) {
    const tokens = yield* RefreshTokenRepository
    const attempts = yield* LoginAttemptRepository

    return handlers.handleAll({
      deleteExpiredTokens: ({ payload }) =>
        tokens.deleteExpired(payload.olderThanDays).pipe(
          asProblem,
          Effect.map((deleted) => ({ deleted })),
        ),
      deleteOldLoginAttempts: ({ payload }) =>
        attempts.deleteOld(payload.olderThanDays).pipe(
          asProblem,
          Effect.map((deleted) => ({ deleted })),
        ),
    })
  }),
)
