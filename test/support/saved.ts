/**
 * The inputs of the factories, saved through the repositories.
 */
import { Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { anAttempt, aToken, aUser } from "./factories.ts"

export const aSavedUser = (overrides: Parameters<typeof aUser>[0] = {}) =>
  UserRepository.use((users) => users.create(aUser(overrides)))

/** A token of the user, or of one of its own. */
export const aSavedToken = Effect.fnUntraced(function* (
  overrides: Parameters<typeof aToken>[1] = {},
) {
  const userId = overrides.userId ?? (yield* aSavedUser()).id
  return yield* (yield* RefreshTokenRepository).create(aToken(userId, overrides))
})

/** A token that expired a day ago, as time would leave it: the repository stores none that has. */
export const anExpiredToken = Effect.fnUntraced(function* (
  overrides: Parameters<typeof aToken>[1] = {},
) {
  const sql = yield* SqlClient.SqlClient
  const tokens = yield* RefreshTokenRepository
  const { id, tokenHash } = yield* aSavedToken(overrides)
  yield* sql`
    UPDATE refresh_tokens SET expires_at = now() - interval '1 day' WHERE id = ${id}`
  return Option.getOrThrow(yield* tokens.getByTokenHash(tokenHash))
})

export const aSavedAttempt = (overrides: Parameters<typeof anAttempt>[0] = {}) =>
  LoginAttemptRepository.use((attempts) => attempts.create(anAttempt(overrides)))
