/**
 * The completion of a sign-in: how it went, and for a success the session's first token, in one
 * transaction. The same completion again gives the same answer.
 */
import { Data, Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import * as Batcher from "../../database/batching/Batcher.ts"
import { interpretErrors, isUndoneForARow } from "../../database/Constraints.ts"
import {
  bounded,
  lockTimeoutIs,
  makeBoundTransaction,
  makeWaitFor,
} from "../../database/LockWaits.ts"
import { traced } from "../../database/traced.ts"
import { inTransaction, retryRead, withSavepointOrRetry } from "../../database/transactions.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import {
  AttemptCompleted,
  LoginAttempt,
  LoginAttemptId,
  LoginAttemptNotFound,
} from "../../domain/LoginAttempt.ts"
import {
  type ExpiryNotInFuture,
  RefreshToken,
  type TokenHashTaken,
} from "../../domain/RefreshToken.ts"
import type { SessionLimitReached, UserInactive } from "../../domain/Session.ts"
import { UserNotFound, type VersionMismatch } from "../../domain/User.ts"
import { StoredUuid } from "../../domain/Uuid.ts"
import { nullable } from "../../schema/nullable.ts"
import { columnsIn } from "../describeTable.ts"
import { loginAttemptsTable } from "../loginAttempts/loginAttemptsTable.ts"
import { makeCreateRefreshToken } from "../refreshTokens/createRefreshToken.ts"
import { refreshTokensTable } from "../refreshTokens/refreshTokensTable.ts"
import {
  type Call,
  type Completion,
  digestOf,
  makeCompleteWhereFree,
  tokenPrefix,
} from "./completeWhereFree.ts"

export interface CompletedAttempt {
  readonly attempt: LoginAttempt
  readonly refreshToken: Option.Option<RefreshToken>
}

export type CompletionError =
  | LoginAttemptNotFound
  | AttemptCompleted
  | UserNotFound
  | UserInactive
  | VersionMismatch
  | ExpiryNotInFuture
  | TokenHashTaken
  | SessionLimitReached
  | DatabaseUnavailable

const decodeAttempt = Schema.decodeUnknownEffect(LoginAttempt)
const decodeToken = Schema.decodeUnknownEffect(RefreshToken)

const decodeCompleted = Effect.fnUntraced(function* (row: object) {
  const attempt = yield* decodeAttempt(row)
  const token = columnsIn(row, tokenPrefix)
  const refreshToken = token["id"] === null ? Option.none() : Option.some(yield* decodeToken(token))
  return { attempt, refreshToken } satisfies CompletedAttempt
})

/** Somebody else has completed the attempt meanwhile. */
class NoLongerPending extends Data.TaggedError("NoLongerPending") {}

/** Makes the statements that find an attempt with its token, and complete one that is pending. */
const makeStatements = (sql: SqlClient.SqlClient) => {
  const attempts = loginAttemptsTable(sql)
  const tokens = refreshTokensTable(sql)
  const tokenColumns = tokens.aliases(tokenPrefix)

  const find = SqlSchema.findOneOption({
    Request: Schema.Struct({ id: LoginAttemptId, tokenHash: nullable(Schema.String) }),
    Result: Schema.ObjectKeyword,
    execute: ({ id, tokenHash }) =>
      sql`
        WITH attempt AS (
          SELECT
            ${attempts.columns},
            refresh_token_id,
            completed_at IS NOT NULL
              AND refresh_token_digest IS NOT DISTINCT FROM ${
        digestOf(sql, sql`${tokenHash}::text`)
      }
              AS "isOfToken"
          FROM public.login_attempts
          WHERE id = ${id}
        ), token (${tokenColumns}) AS (
          SELECT ${tokens.columns}
          FROM public.refresh_tokens
          WHERE id = (SELECT refresh_token_id FROM attempt)
        )
        SELECT attempt.*, ${tokenColumns}
        FROM attempt
        LEFT JOIN token ON true`,
  })

  const complete = SqlSchema.findOneOption({
    Request: Schema.Struct({
      id: LoginAttemptId,
      success: Schema.Boolean,
      failureReason: nullable(Schema.String),
      tokenId: nullable(StoredUuid),
      tokenHash: nullable(Schema.String),
    }),
    Result: LoginAttempt,
    execute: bounded(({ id, success, failureReason, tokenId, tokenHash, lockTimeout }) =>
      sql`
        UPDATE public.login_attempts
        SET
          success = ${success},
          failure_reason = ${failureReason},
          pending = false,
          completed_at = statement_timestamp(),
          refresh_token_id = ${tokenId}::uuid,
          refresh_token_digest = ${digestOf(sql, sql`${tokenHash}::text`)}
        WHERE id = ${id} AND pending AND ${lockTimeoutIs(sql, lockTimeout)}
        RETURNING ${attempts.columns}`
    ),
  })

  return { find, complete }
}

/** Makes a function that completes one attempt, or fails with the reason why it cannot be. */
const makeCompleteOrRefuse = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const { find, complete } = makeStatements(sql)
  const createToken = yield* makeCreateRefreshToken(sql)

  const boundTransaction = makeBoundTransaction(sql)

  // The token first: a user's row before tokens, and tokens before attempts.
  const completePending = Effect.fnUntraced(
    function* ({ id, success, failureReason, refreshToken }: Call) {
      yield* boundTransaction
      const token = refreshToken === null ? null : yield* createToken(refreshToken)
      const attempt = yield* complete({
        id,
        success,
        failureReason,
        tokenId: token?.id ?? null,
        tokenHash: token?.tokenHash ?? null,
      })
      if (Option.isNone(attempt)) return yield* new NoLongerPending()
      return {
        attempt: attempt.value,
        refreshToken: Option.fromNullOr(token),
      } satisfies CompletedAttempt
    },
    inTransaction(sql),
    interpretErrors(),
  )

  /** The answer of an earlier completion, if this one is the same; without a token that is gone. */
  const repeat = Effect.fnUntraced(function* (row: object, wanted: Call) {
    const earlier = yield* decodeCompleted(row).pipe(interpretErrors())
    const { success, failureReason } = earlier.attempt
    const isSame = "isOfToken" in row && row.isOfToken === true &&
      success === wanted.success &&
      failureReason === wanted.failureReason
    return isSame ? earlier : yield* new AttemptCompleted()
  })

  const findNow = ({ id, refreshToken }: Call) =>
    find({ id, tokenHash: refreshToken?.tokenHash ?? null }).pipe(
      retryRead(sql),
      interpretErrors(),
    )

  const completeOrRefuse = (call: Call): Effect.Effect<CompletedAttempt, CompletionError> =>
    Effect.gen(function* (): Effect.fn.Return<CompletedAttempt, CompletionError> {
      while (true) {
        const found = yield* findNow(call)
        if (Option.isNone(found)) return yield* new LoginAttemptNotFound()
        const attempt = yield* decodeAttempt(found.value).pipe(interpretErrors())
        if (!attempt.pending) return yield* repeat(found.value, call)
        if (call.refreshToken !== null && call.refreshToken.userId !== attempt.userId) {
          return yield* new UserNotFound()
        }
        const completed = yield* Effect.catchTags(Effect.asSome(completePending(call)), {
          NoLongerPending: () => Effect.succeedNone,
          // Of two equal completions at once, the later one finds the token of the earlier one.
          TokenHashTaken: Effect.fnUntraced(function* (taken) {
            const now = yield* findNow(call)
            const isPending = Option.isSome(now) && "pending" in now.value && now.value.pending
            return isPending ? yield* taken : Option.none<CompletedAttempt>()
          }),
          // Without a key of its own a token has none that another request could have.
          IdempotencyKeyReused: Effect.die,
        })
        if (Option.isSome(completed)) return completed.value
      }
    })
  return completeOrRefuse
})

export const makeCompleteLoginAttempt = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const completeWhereFree = makeCompleteWhereFree(sql)
  const completeOrRefuse = yield* makeCompleteOrRefuse(sql)
  const interpret = interpretErrors()
  const waitFor = yield* makeWaitFor(sql)

  const completeTogether = (calls: ReadonlyArray<Call>) => {
    // Of several completions of one attempt, the first; the others are tried by themselves.
    const first = new Map(calls.toReversed().map((call) => [call.id, call]))
    return completeWhereFree([...first.values()]).pipe(
      withSavepointOrRetry(sql),
      // Undone for what one of them meets: each is tried by itself.
      Effect.catchIf(isUndoneForARow, () => Effect.succeed<ReadonlyArray<object>>([])),
      Effect.map((rows) => {
        const byId = new Map(rows.map((row) => ["id" in row ? row.id : undefined, row]))
        return calls.map((call) => {
          const row = first.get(call.id) === call ? byId.get(call.id) : undefined
          return row === undefined ? Batcher.undone : Batcher.done(row)
        })
      }),
      interpret,
    )
  }

  const decode = (row: object) => interpret(decodeCompleted(row))

  /** One statement where nothing is in its way; else the transaction that tells what is. */
  const single = (call: Call) =>
    Effect.flatMap(
      completeTogether([call]),
      ([outcome]) => outcome?._tag === "Done" ? decode(outcome.row) : completeOrRefuse(call),
    )

  const inGroup = yield* Batcher.make<Call, object, CompletedAttempt, CompletionError>({
    sql,
    name: "LoginAttemptRepository.complete",
    reads: false,
    single,
    batch: completeTogether,
    decode,
  })

  return traced(
    "LoginAttemptRepository.complete",
    (id: LoginAttemptId, completion: Completion) => {
      const call = { ...completion, id }
      // A limit on sessions is held by the user's row, which takes a transaction.
      const isLimited = (completion.refreshToken?.maxSessions ?? null) !== null
      return isLimited
        ? waitFor(id, completeOrRefuse(call))
        : waitFor(id, Effect.suspend(() => single(call)), inGroup(call))
    },
  )
})
