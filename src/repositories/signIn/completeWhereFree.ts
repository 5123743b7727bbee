/**
 * The completion of sign-ins as far as nothing is in the way of it, as one statement.
 */
import { Schema } from "effect"
import { type SqlClient, SqlSchema, type Statement } from "effect/sql"
import { waitsBriefly } from "../../database/LockWaits.ts"
import { LoginAttemptId, type Verdict } from "../../domain/LoginAttempt.ts"
import { type NewRefreshToken, RefreshToken } from "../../domain/RefreshToken.ts"
import { StoredUserId, Version } from "../../domain/User.ts"
import { StoredUuid } from "../../domain/Uuid.ts"
import { nullable } from "../../schema/nullable.ts"
import { loginAttemptsTable } from "../loginAttempts/loginAttemptsTable.ts"
import { cutExpiry } from "../refreshTokens/createRefreshToken.ts"
import { refreshTokensTable } from "../refreshTokens/refreshTokensTable.ts"
import { uuidV7 } from "../uuidV7.ts"

/** How an attempt went, and the token that begins its session. */
export interface Completion extends Verdict {
  readonly refreshToken: NewRefreshToken | null
}

/** A completion of an attempt. */
export interface Call extends Completion {
  readonly id: LoginAttemptId
}

/** What the token's columns are called in a row that has the attempt's as well. */
export const tokenPrefix = "token."

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

/** What an attempt keeps of the token that its completion has created. */
export const digestOf = (sql: SqlClient.SqlClient, tokenHash: Statement.Fragment) =>
  sql`sha256(convert_to(${tokenHash}, 'UTF8'))`

/**
 * Makes the statement that completes attempts as far as nothing is in the way of it: what others hold,
 * what conflicts and what would be refused is left out.
 */
export const makeCompleteWhereFree = (sql: SqlClient.SqlClient) => {
  const attempts = loginAttemptsTable(sql)
  const tokens = refreshTokensTable(sql)
  const rows = tokens.records({
    expiresAt: cutExpiry(sql),
    createdAt: "clock_timestamp()",
  })
  const tokenColumns = tokens.aliases(tokenPrefix)

  const complete = SqlSchema.findAll({
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

  return (calls: ReadonlyArray<Call>) => complete(calls.map(toInput))
}
