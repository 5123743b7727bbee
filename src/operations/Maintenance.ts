/**
 * Clean-up, as operators call for it and schedules run it.
 */
import { Context, Effect, Layer } from "effect"
import { LoginAttemptRepository } from "../repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../repositories/refreshTokens/RefreshTokenRepository.ts"

/** What the repositories offer for it, and nothing else: it may be on connections of its own. */
export class Maintenance extends Context.Service<Maintenance, {
  readonly deleteExpiredTokens: RefreshTokenRepository["Service"]["deleteExpired"]
  readonly deleteOldLoginAttempts: LoginAttemptRepository["Service"]["deleteOld"]
}>()("latchkey/operations/Maintenance") {
  /** On the `SqlClient` that it is given, whichever one the other users of the repositories have. */
  static readonly layer = Layer.effect(
    Maintenance,
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const attempts = yield* LoginAttemptRepository
      return Maintenance.of({
        deleteExpiredTokens: tokens.deleteExpired,
        deleteOldLoginAttempts: attempts.deleteOld,
      })
    }),
  ).pipe(
    // Not the instances that were made of these layers for requests.
    Layer.provide(
      Layer.fresh(Layer.merge(RefreshTokenRepository.layer, LoginAttemptRepository.layer)),
    ),
  )
}
