/**
 * The revocation of single refresh tokens.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { makeGroupCommit } from "../../database/batching/groupCommit.ts"
import { interpretErrors } from "../../database/Constraints.ts"
import { type Bound, bounded, lockTimeoutIs } from "../../database/LockWaits.ts"
import { prepared } from "../../database/prepared.ts"
import { traced } from "../../database/traced.ts"
import { RefreshToken, RefreshTokenNotFound, TokenHash } from "../../domain/RefreshToken.ts"
import { refreshTokensTable } from "./refreshTokensTable.ts"

const Revocation = Schema.Struct({ tokenHash: TokenHash })

export const makeRevokeRefreshToken = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const { columns } = refreshTokensTable(sql)

  const setRevoked = SqlSchema.findOneOption({
    Request: Revocation,
    Result: RefreshToken,
    execute: bounded(prepared<typeof Revocation.Encoded & Bound>(sql)`
      UPDATE public.refresh_tokens
      SET revoked_at = COALESCE(revoked_at, now())
      WHERE token_hash = ${"tokenHash"} AND ${lockTimeoutIs(sql, "lockTimeout")}
      RETURNING ${columns}`),
  })

  const setRevokedWhereFree = SqlSchema.findAll({
    Request: Schema.Array(TokenHash),
    Result: Schema.Unknown,
    execute: (hashes) =>
      sql`
        WITH free AS (
          SELECT id AS free_id
          FROM public.refresh_tokens
          WHERE token_hash = ANY(${hashes}::text[])
          FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE public.refresh_tokens
        SET revoked_at = COALESCE(revoked_at, now())
        FROM free
        WHERE id = free_id
        RETURNING ${columns}`,
  })

  const revokeOne = (tokenHash: TokenHash) =>
    setRevoked({ tokenHash }).pipe(
      interpretErrors(),
      Effect.flatMap((revoked) =>
        Option.isSome(revoked) ? Effect.succeed(revoked.value) : new RefreshTokenNotFound()
      ),
    )

  const revoke = yield* makeGroupCommit(sql, {
    name: "RefreshTokenRepository.revoke",
    single: revokeOne,
    batch: (calls) => setRevokedWhereFree(calls.map(([, tokenHash]) => tokenHash)),
    row: RefreshToken,
    keyedBy: "tokenHash",
    key: (tokenHash) => tokenHash,
    lock: (tokenHash) => tokenHash,
  })

  return traced("RefreshTokenRepository.revoke", revoke)
})
