/**
 * The completion of a sign-in: how it went, and for a success the session's first token, in one
 * transaction. The same completion again gives the same answer.
 */
import { Data, Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema, type Statement } from "effect/sql"
import * as Batcher from "../../database/batching/Batcher.ts"
import { interpretErrors, isUndoneForARow } from "../../database/Constraints.ts"
import {
  bounded,
  lockTimeoutIs,
  makeBoundTransaction,
  makeWaitFor,
  waitsBriefly,
} from "../../database/LockWaits.ts"
import { traced } from "../../database/traced.ts"
import { inTransaction, retryRead, withSavepointOrRetry } from "../../database/transactions.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import {
  AttemptCompleted,
  LoginAttempt,
  LoginAttemptId,
  LoginAttemptNotFound,
  type Verdict,
} from "../../domain/LoginAttempt.ts"
import {
  type ExpiryNotInFuture,
  NewRefreshToken,
  RefreshToken,
  type TokenHashTaken,
} from "../../domain/RefreshToken.ts"
import type { SessionLimitReached, UserInactive } from "../../domain/Session.ts"
import { StoredUserId, UserNotFound, Version, type VersionMismatch } from "../../domain/User.ts"
import { StoredUuid } from "../../domain/Uuid.ts"
import { nullable } from "../../schema/nullable.ts"
import { columnsIn } from "../describeTable.ts"
import { loginAttemptsTable } from "../loginAttempts/loginAttemptsTable.ts"
import { makeCreateRefreshToken } from "../refreshTokens/createRefreshToken.ts"
import { refreshTokensTable } from "../refreshTokens/refreshTokensTable.ts"
import { uuidV7 } from "../uuidV7.ts"

/** How an attempt went, and the token that begins its session. */
export interface Completion extends Verdict {
  readonly refreshToken: NewRefreshToken | null
}

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

interface Call extends Completion {
  readonly id: LoginAttemptId
}

/** What the token's columns are called in a row that has the attempt's as well. */
const tokenPrefix = "token."

const decodeAttempt = Schema.decodeUnknownEffect(LoginAttempt)
const decodeToken = Schema.decodeUnknownEffect(RefreshToken)

const decodeCompleted = Effect.fnUntraced(function* (row: object) {
  const attempt = yield* decodeAttempt(row)
  const token = columnsIn(row, tokenPrefix)
  const refreshToken = token["id"] === null ? Option.none() : Option.some(yield* decodeToken(token))
  return { attempt, refreshToken } satisfies CompletedAttempt
})

const Input = Schema.Struct({
  ...RefreshToken.insert.fields,
  userId: nullable(StoredUserId),
  tokenHash: nullable(RefreshToken.insert.fields.tokenHash),
  expiresAt: nullable(RefreshToken.insert.fields.expiresAt),
  userVersion: nullable(Version),
  id: StoredUuid,
  attemptId: LoginAttemptId,
  hasToken: Schema.Boolean,
  verdict: Schema.Boolean,
  reason: nullable(Schema.String),
})

/** The types of what the input has besides the columns of a token. */
const completionTypes = {
  userVersion: "text",
  attemptId: "uuid",
  hasToken: "boolean",
  verdict: "boolean",
  reason: "text",
}

const digestOf = (sql: SqlClient.SqlClient, tokenHash: Statement.Fragment) =>
  sql`sha256(convert_to(${tokenHash}, 'UTF8'))`

/**
 * Makes the statement that completes attempts as far as nothing is in the way of it: what others hold,
 * what conflicts and what would be refused is left out.
 */
const makeCompleteWhereFree = (sql: SqlClient.SqlClient) => {
  const attempts = loginAttemptsTable(sql)
  const tokens = refreshTokensTable(sql)
  const rows = tokens.records({
    // No token outlives its session.
    expiresAt: ({ expiresAt, sessionExpiresAt }) => sql`LEAST(${expiresAt}, ${sessionExpiresAt})`,
    createdAt: "clock_timestamp()",
  })
  const tokenColumns = tokens.aliases(tokenPrefix)

  return SqlSchema.findAll({
    Request: Schema.fromJsonString(Schema.Array(Input)),
    Result: Schema.ObjectKeyword,
    execute: (json) =>
      sql`
        WITH input AS (
          SELECT * FROM ${tokens.recordset(json, completionTypes)}
        ), owner AS (
          SELECT id, version
          FROM public.users
          WHERE
            id = ANY (ARRAY(SELECT "userId" FROM input))
            AND is_active
            AND ${waitsBriefly(sql)}
          FOR KEY SHARE SKIP LOCKED
        ), held AS (
          SELECT login_attempts.id
          FROM input
          JOIN public.login_attempts ON login_attempts.id = input."attemptId"
          LEFT JOIN owner ON owner.id = input."userId"
          WHERE
            login_attempts.id = ANY (ARRAY(SELECT "attemptId" FROM input))
            AND login_attempts.pending
            AND (
              NOT input."hasToken"
              OR login_attempts.user_id = owner.id
              AND owner.version::text = COALESCE(input."userVersion", owner.version::text)
              AND input."expiresAt" > clock_timestamp()
              AND COALESCE(input."sessionExpiresAt" > clock_timestamp(), true)
            )
          FOR NO KEY UPDATE OF login_attempts SKIP LOCKED
        ), token (${tokenColumns}) AS (
          INSERT INTO public.refresh_tokens (${rows.names})
          SELECT ${rows.values}
          FROM input
          JOIN held ON held.id = input."attemptId"
          WHERE input."hasToken"
          ORDER BY input."tokenHash"
          ON CONFLICT DO NOTHING
          RETURNING ${tokens.columns}
        ), done AS (
          SELECT
            input."attemptId", input.verdict, input.reason,
            token."token.id" AS token_id, input."tokenHash" AS token_hash
          FROM input
          JOIN held ON held.id = input."attemptId"
          LEFT JOIN token ON token."token.id" = input.id
          WHERE NOT input."hasToken" OR token."token.id" IS NOT NULL
        ), completed AS (
          UPDATE public.login_attempts
          SET
            success = done.verdict,
            failure_reason = done.reason,
            pending = false,
            completed_at = statement_timestamp(),
            refresh_token_id = done.token_id,
            refresh_token_digest = ${digestOf(sql, sql.literal("done.token_hash"))}
          FROM done
          WHERE login_attempts.id = done."attemptId"
          RETURNING ${attempts.columns}, done.token_id
        )
        SELECT completed.*, ${tokenColumns}
        FROM completed
        LEFT JOIN token ON token."token.id" = completed.token_id`,
  })
}

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

const toInput = ({ id, success, failureReason, refreshToken }: Call): typeof Input.Type => ({
  userId: null,
  tokenHash: null,
  expiresAt: null,
  userAgent: null,
  ipAddress: null,
  sessionExpiresAt: null,
  userVersion: null,
  ...refreshToken,
  id: uuidV7(),
  attemptId: id,
  hasToken: refreshToken !== null,
  verdict: success,
  reason: failureReason,
})

export const makeCompleteLoginAttempt = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const completeWhereFree = makeCompleteWhereFree(sql)
  const completeOrRefuse = yield* makeCompleteOrRefuse(sql)
  const interpret = interpretErrors()
  const waitFor = yield* makeWaitFor(sql)

  const completeTogether = (calls: ReadonlyArray<Call>) => {
    // Of several completions of one attempt, the first; the others are tried by themselves.
    const first = new Map(calls.toReversed().map((call) => [call.id, call]))
    return completeWhereFree([...first.values()].map(toInput)).pipe(
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
