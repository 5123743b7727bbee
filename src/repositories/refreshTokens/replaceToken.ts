/**
 * The statements that replace tokens: each ends one and creates its successor.
 */
import { Schema } from "effect"
import { type SqlClient, SqlSchema, type Statement } from "effect/sql"
import { type Bound, bounded, lockTimeoutIs, waitsBriefly } from "../../database/LockWaits.ts"
import { prepared } from "../../database/prepared.ts"
import { GraceSeconds, Successor, TokenHash } from "../../domain/RefreshToken.ts"
import { StoredUuid } from "../../domain/Uuid.ts"
import { insertionFields } from "../makeCreate.ts"
import { isInGrace } from "./explainRotation.ts"
import { type RefreshTokensTable, refreshTokensTable } from "./refreshTokensTable.ts"
import type { TokenShape } from "./tokenWithUser.ts"

const Replacement = Schema.Struct({
  ...Successor.fields,
  ...insertionFields,
  replaces: TokenHash,
  graceSeconds: GraceSeconds,
})
type Bounded = typeof Replacement.Encoded & Bound

/** What a successor has of the token that it replaces; `spent` is that token. */
const ofSpent = (sql: SqlClient.SqlClient): Parameters<RefreshTokensTable["parameters"]>[0] => ({
  id: "spent.successor_id",
  userId: "spent.user_id",
  createdAt: "clock_timestamp()",
  sessionId: "spent.session_id",
  signedInAt: "spent.signed_in_at",
  sessionExpiresAt: "spent.session_expires_at",
  // No token outlives its session.
  expiresAt: ({ expiresAt }) => sql`LEAST(${expiresAt}, spent.session_expires_at)`,
  userAgent: ({ userAgent }) => sql`COALESCE(${userAgent}, spent.user_agent)`,
  ipAddress: ({ ipAddress }) => sql`COALESCE(${ipAddress}, spent.ip_address)`,
})

/** What is read of a token for its successor. */
const inherited = (sql: SqlClient.SqlClient, token: Statement.Fragment) =>
  sql`
    ${token}.user_id,
    COALESCE(${token}.session_id, ${token}.id) AS session_id,
    COALESCE(${token}.signed_in_at, ${token}.created_at) AS signed_in_at,
    ${token}.session_expires_at,
    ${token}.user_agent,
    ${token}.ip_address`

/** Makes the statements that replace one token. */
export const makeReplace = <Row>(sql: SqlClient.SqlClient, shape: TokenShape<Row>) => {
  const refreshTokens = refreshTokensTable(sql)
  const row = refreshTokens.parameters(ofSpent(sql))

  const replaceBy = (spent: Statement.Fragment) =>
    SqlSchema.findOneOption({
      Request: Replacement,
      Result: shape.row,
      execute: bounded(prepared<Bounded>(sql)`
        WITH spent AS (${spent})
        ${
        shape.afterInsertion(sql`
          INSERT INTO public.refresh_tokens (${row.names})
          SELECT ${row.values}
          FROM spent
          RETURNING ${refreshTokens.columns}`)
      }`),
    })

  // The user's row is held before the token's, and so a condition of finding that; see
  // docs/architecture.md, "Order of locks".
  const ownerIsActive = sql`
    EXISTS (SELECT FROM public.users WHERE users.id = user_id AND is_active FOR KEY SHARE)`

  // One statement, so that of many rotations of one token at once exactly one finds it unrevoked:
  // the others wait for its row and then see it revoked. The successor's id is known beforehand for
  // the same reason.
  const replace = replaceBy(sql`
    UPDATE public.refresh_tokens
    SET revoked_at = clock_timestamp(), successor_id = ${"id"}::uuid
    WHERE
      token_hash = ${"replaces"}
      AND revoked_at IS NULL
      AND expires_at > now()
      AND ${"expiresAt"}::timestamptz > clock_timestamp()
      AND ${ownerIsActive}
      AND ${lockTimeoutIs(sql, "lockTimeout")}
    RETURNING successor_id, ${inherited(sql, sql.literal("refresh_tokens"))}`)

  const names = { rotated: sql.literal("rotated"), first: sql.literal("refresh_tokens") }

  // The first successor is changed, so that whoever ends the session meanwhile sees that there is more.
  const replaceInGrace = replaceBy(sql`
    UPDATE public.refresh_tokens
    SET sibling_ids = array_append(refresh_tokens.sibling_ids, ${"id"}::uuid)
    FROM public.refresh_tokens AS rotated
    WHERE
      rotated.token_hash = ${"replaces"}
      AND refresh_tokens.id = rotated.successor_id
      AND ${isInGrace(sql, names, "graceSeconds")}
      AND ${"expiresAt"}::timestamptz > clock_timestamp()
      AND EXISTS (
        SELECT FROM public.users WHERE users.id = rotated.user_id AND is_active FOR KEY SHARE
      )
      AND ${lockTimeoutIs(sql, "lockTimeout")}
    RETURNING ${"id"}::uuid AS successor_id, ${inherited(sql, names.rotated)}`)

  return { replace, replaceInGrace }
}

/** Makes the statement that replaces the tokens of a group of rotations. */
export const makeReplaceWhereFree = <Row>(sql: SqlClient.SqlClient, shape: TokenShape<Row>) => {
  const refreshTokens = refreshTokensTable(sql)
  const rows = refreshTokens.records(ofSpent(sql))

  // Of two rotations of one token in a group, one finds its row; the other is left out.
  return SqlSchema.findAll({
    Request: Schema.fromJsonString(
      Schema.Array(
        Schema.Struct({ ...Successor.fields, id: StoredUuid, replaces: TokenHash }),
      ),
    ),
    Result: Schema.Unknown,
    execute: (json) =>
      sql`
        WITH input AS (
          SELECT * FROM ${refreshTokens.recordset(json, { replaces: "text" })}
        ), free AS (
          SELECT refresh_tokens.id AS token_id, input.id AS successor_id
          FROM input
          JOIN public.refresh_tokens ON refresh_tokens.token_hash = input.replaces
          JOIN public.users ON users.id = refresh_tokens.user_id
          WHERE
            refresh_tokens.revoked_at IS NULL
            AND refresh_tokens.expires_at > now()
            AND users.is_active
            AND input."expiresAt" > clock_timestamp()
            AND ${waitsBriefly(sql)}
          FOR KEY SHARE OF users SKIP LOCKED
          FOR NO KEY UPDATE OF refresh_tokens SKIP LOCKED
        ), spent AS (
          UPDATE public.refresh_tokens
          SET revoked_at = clock_timestamp(), successor_id = free.successor_id
          FROM free
          WHERE refresh_tokens.id = free.token_id
          RETURNING refresh_tokens.successor_id, ${inherited(sql, sql.literal("refresh_tokens"))}
        )
        ${
        shape.afterInsertion(sql`
          INSERT INTO public.refresh_tokens (${rows.names})
          SELECT ${rows.values}
          FROM spent
          JOIN input ON input.id = spent.successor_id
          RETURNING ${refreshTokens.columns}`)
      }`,
  })
}
