/**
 * Attempts to sign in, in PostgreSQL, and the counters that lock-outs are decided by.
 */
import { Context, type DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { traced } from "../../database/traced.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import type { IdempotencyKeyReused } from "../../domain/IdempotencyKey.ts"
import type {
  AttemptToBegin,
  LoginAttempt,
  LoginAttemptId,
  TooManyFailures,
} from "../../domain/LoginAttempt.ts"
import type { Page } from "../../domain/Page.ts"
import type { UserId, UserNotFound } from "../../domain/User.ts"
import { type CleanUpOptions, deleteInBatches } from "../deleteInBatches.ts"
import {
  type CompletedAttempt,
  type CompletionError,
  makeCompleteLoginAttempt,
} from "../signIn/completeLoginAttempt.ts"
import type { Completion } from "../signIn/completeWhereFree.ts"
import { type BeginOptions, type BegunAttempt, makeBeginLoginAttempt } from "./beginLoginAttempt.ts"
import { makeFailureCounters, type Origin } from "./countLoginFailures.ts"
import { type CreateLoginAttemptOptions, makeCreateLoginAttempt } from "./createLoginAttempt.ts"
import { makeForgiveFailures } from "./forgiveFailures.ts"
import { type ListAttemptsOptions, makeListLoginAttempts } from "./listLoginAttempts.ts"

export class LoginAttemptRepository extends Context.Service<LoginAttemptRepository, {
  readonly create: (
    attempt: typeof LoginAttempt.insert.Type,
    options?: CreateLoginAttemptOptions,
  ) => Effect.Effect<LoginAttempt, UserNotFound | IdempotencyKeyReused | DatabaseUnavailable>
  /**
   * Begins an attempt before the password is looked at: counted, held against the limits and recorded in
   * one transaction, with the credentials of the account that has the address. What is begun and never
   * completed counts as a failure.
   */
  readonly begin: (
    attempt: AttemptToBegin,
    options?: BeginOptions,
  ) => Effect.Effect<BegunAttempt, TooManyFailures | IdempotencyKeyReused | DatabaseUnavailable>
  /** Says how an attempt went, and begins the session of a success in the same transaction. */
  readonly complete: (
    id: LoginAttemptId,
    completion: Completion,
  ) => Effect.Effect<CompletedAttempt, CompletionError>
  /** Forgives the failures of the user's address up to now, and gives the time. */
  readonly forgive: (
    userId: UserId,
  ) => Effect.Effect<DateTime.Utc, UserNotFound | DatabaseUnavailable>
  /** The newest first. */
  readonly listForUser: (
    userId: UserId,
    options: ListAttemptsOptions,
  ) => Effect.Effect<Page<LoginAttempt>, UserNotFound | DatabaseUnavailable>
  /** Of an address, whether or not there is an account, or the failures from a host; the newest first. */
  readonly listFrom: (
    origin: Origin,
    options: ListAttemptsOptions,
  ) => Effect.Effect<Page<LoginAttempt>, DatabaseUnavailable>
  /** The user's failed attempts of the last minutes. */
  readonly countRecentFailures: (
    userId: UserId,
    minutes?: number,
  ) => Effect.Effect<number, UserNotFound | DatabaseUnavailable>
  /** The failed attempts of the last minutes by origin, also those of users deleted since. */
  readonly countRecentFailuresFrom: (
    origin: Origin,
    minutes?: number,
  ) => Effect.Effect<number, DatabaseUnavailable>
  /** Deletes attempts of this many days (of 24 h) ago and tells how many. */
  readonly deleteOld: (
    olderThanDays?: number,
    options?: CleanUpOptions,
  ) => Effect.Effect<number, DatabaseUnavailable>
}>()("latchkey/repositories/LoginAttemptRepository") {
  static readonly layer = Layer.effect(
    LoginAttemptRepository,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { countByUser, countByOrigin } = yield* makeFailureCounters(sql)

      const { listForUser, listFrom } = makeListLoginAttempts(sql)

      const deleteOld = (olderThanDays: number = 90, options: CleanUpOptions = {}) =>
        deleteInBatches(sql, {
          table: "login_attempts",
          column: "attempted_at",
          olderThanDays,
          ...options,
        }).pipe(interpretErrors())

      return LoginAttemptRepository.of({
        create: yield* makeCreateLoginAttempt(sql),
        begin: yield* makeBeginLoginAttempt(sql),
        complete: yield* makeCompleteLoginAttempt(sql),
        forgive: traced("LoginAttemptRepository.forgive", yield* makeForgiveFailures(sql)),
        listForUser: traced("LoginAttemptRepository.listForUser", listForUser),
        listFrom: traced("LoginAttemptRepository.listFrom", listFrom),
        countRecentFailures: traced(
          "LoginAttemptRepository.countRecentFailures",
          (userId, minutes = 15) => countByUser({ userId, minutes }),
        ),
        countRecentFailuresFrom: traced(
          "LoginAttemptRepository.countRecentFailuresFrom",
          (origin, minutes = 15) => countByOrigin(origin, minutes),
        ),
        deleteOld: traced("LoginAttemptRepository.deleteOld", deleteOld),
      })
    }),
  )
}
