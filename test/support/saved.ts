/**
 * The inputs of the factories, saved through the repositories.
 */
import { Effect } from "effect"
import { LoginAttemptRepository } from "../../src/repositories/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/UserRepository.ts"
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

export const aSavedAttempt = (overrides: Parameters<typeof anAttempt>[0] = {}) =>
  LoginAttemptRepository.use((attempts) => attempts.create(anAttempt(overrides)))
