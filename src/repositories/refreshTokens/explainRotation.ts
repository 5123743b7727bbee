/**
 * Why a rotation replaced nothing: a repetition of an earlier one, a token in grace, or a refusal.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, type SqlError, SqlSchema, type Statement } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { retryRead } from "../../database/transactions.ts"
import {
  ExpiryNotInFuture,
  RefreshToken,
  RefreshTokenExpired,
  RefreshTokenNotFound,
  RefreshTokenReused,
  RefreshTokenRevoked,
  type Successor,
  TokenHash,
} from "../../domain/RefreshToken.ts"
import { type SessionState, UserInactive } from "../../domain/Session.ts"
import { Timestamp } from "../../domain/Timestamp.ts"
import { StoredUuid } from "../../domain/Uuid.ts"
import { sessionIsLive } from "./sessionIsLive.ts"
import type { TokenShape } from "./tokenWithUser.ts"

/** What is asked for, the defaults filled in. */
export interface Rotation {
  readonly tokenHash: TokenHash
  readonly successor: Successor
  readonly graceSeconds: number
}

/** Why a rotation replaced nothing, where that is no refusal. */
type Obstacle<Row> =
  /** The same rotation was done before: an answer, though not by a row that this call created. */
  | { readonly _tag: "Rotated"; readonly successor: Row }
  /** A row has the successor's id, which is the idempotency key. */
  | { readonly _tag: "IdExists" }
  /** The token was rotated so shortly ago that it may get another successor. */
  | { readonly _tag: "InGrace" }
  /** Nothing any more, which only a race can bring about. */
  | { readonly _tag: "None" }

type Refusal = RefreshTokenReused | RefreshTokenRevoked | RefreshTokenExpired

/**
 * Whether a token that was `rotated` may be rotated once more, as an SQL condition: not long ago, by the
 * database's clock; its `first` successor is live, and has less than ten beside it; none of its successors was rotated.
 */
export const isInGrace = (
  sql: SqlClient.SqlClient,
  { rotated, first }: Readonly<Record<"rotated" | "first", Statement.Fragment>>,
  graceSeconds: number | string,
): Statement.Fragment =>
  sql`(
    ${graceSeconds}::integer > 0
    AND ${rotated}.revoked_at >= clock_timestamp() - make_interval(secs => ${graceSeconds}::integer)
    AND ${first}.revoked_at IS NULL
    AND ${first}.expires_at > now()
    AND COALESCE(cardinality(${first}.sibling_ids), 0) < 10
    AND NOT EXISTS (
      SELECT
      FROM public.refresh_tokens AS sibling
      WHERE sibling.id = ANY (${first}.sibling_ids) AND sibling.successor_id IS NOT NULL
    )
  )`

/** Why a token that is not valid cannot be rotated: its own state, the strongest reason first. */
const refuse = (
  token: Pick<RefreshToken, "successorId" | "revokedAt">,
  session: SessionState,
): Refusal =>
  token.successorId !== null
    ? new RefreshTokenReused(session)
    : token.revokedAt !== null
    ? new RefreshTokenRevoked(session)
    : new RefreshTokenExpired(session)

const Involved = Schema.Struct({
  ...RefreshToken.fields,
  userIsActive: Schema.Boolean,
  sessionIsLive: Schema.Boolean,
  isInGrace: Schema.Boolean,
})
const decodeInvolved = Schema.decodeUnknownEffect(Schema.Array(Involved))

const stateIn = (
  { userId, sessionId, sessionIsLive }: typeof Involved.Type,
): SessionState => ({ userId, sessionId, sessionIsLive })

/** No row has it. */
const noId = "00000000-0000-0000-0000-000000000000"

const makeFindInvolved = <Row>(sql: SqlClient.SqlClient, shape: TokenShape<Row>) => {
  const names = { rotated: sql.literal("refresh_tokens"), first: sql.literal("first") }
  // All in one statement: a deletion of the user between two would pass for a successor that was
  // cleaned up, and so for reuse, or for a refusal of what this request had created.
  return SqlSchema.findAll({
    Request: Schema.Struct({
      tokenHash: TokenHash,
      id: StoredUuid,
      graceSeconds: Schema.Number,
    }),
    Result: Schema.Unknown,
    execute: ({ tokenHash, id, graceSeconds }) =>
      sql`
        SELECT
          ${shape.columns},
          (SELECT is_active FROM public.users WHERE users.id = user_id) AS "userIsActive",
          ${sessionIsLive(sql)} AS "sessionIsLive",
          EXISTS (
            SELECT
            FROM public.refresh_tokens AS first
            WHERE
              first.id = refresh_tokens.successor_id
              AND ${isInGrace(sql, names, graceSeconds)}
          ) AS "isInGrace"
        FROM ${shape.name}
        WHERE
          token_hash = ${tokenHash}
          OR id = (SELECT successor_id FROM public.refresh_tokens WHERE token_hash = ${tokenHash})
          OR id = ANY (ARRAY(
            SELECT unnest(first.sibling_ids)
            FROM public.refresh_tokens AS first
            JOIN public.refresh_tokens AS rotated ON rotated.successor_id = first.id
            WHERE rotated.token_hash = ${tokenHash}
          ))
          OR id = ${id}::uuid`,
  })
}

/** Makes functions that explain what became of a rotation, and tell of a token's session. */
export const makeExplainRotation = <Row>(sql: SqlClient.SqlClient, shape: TokenShape<Row>) => {
  const decodeRow = Schema.decodeUnknownEffect(shape.row)

  const findInvolved = makeFindInvolved(sql, shape)

  const findFuture = SqlSchema.findOneOption({
    Request: Timestamp,
    Result: Schema.Struct({}),
    execute: (time) => sql`SELECT WHERE ${time}::timestamptz > clock_timestamp()`,
  })

  const requireFuture = Effect.fnUntraced(function* ({ expiresAt }: Successor) {
    const future = yield* findFuture(expiresAt).pipe(retryRead(sql))
    if (Option.isNone(future)) return yield* new ExpiryNotInFuture({ property: "expiresAt" })
  })

  const explain = Effect.fnUntraced(function* (
    { tokenHash, successor, graceSeconds }: Rotation,
    id: string,
  ): Effect.fn.Return<
    Obstacle<Row>,
    | Refusal
    | RefreshTokenNotFound
    | UserInactive
    | ExpiryNotInFuture
    | SqlError.SqlError
    | Schema.SchemaError
  > {
    const rows = yield* findInvolved({ tokenHash, id, graceSeconds }).pipe(retryRead(sql))
    const found = yield* decodeInvolved(rows)
    if (found.some((row) => row.id === id)) return { _tag: "IdExists" }
    const token = found.find((row) => row.tokenHash === tokenHash)
    if (token === undefined) return yield* new RefreshTokenNotFound()
    const session = stateIn(token)
    const repeated = found.findIndex((row) => row.tokenHash === successor.tokenHash)
    const rotatedTo = found[repeated]
    if (rotatedTo?.wasValid) {
      return { _tag: "Rotated", successor: yield* decodeRow(rows[repeated]) }
    }
    if (!token.userIsActive) return yield* new UserInactive({ session })
    if (token.wasValid) {
      yield* requireFuture(successor)
      return { _tag: "None" }
    }
    if (rotatedTo !== undefined) return yield* refuse(rotatedTo, session)
    if (!token.isInGrace) return yield* refuse(token, session)
    yield* requireFuture(successor)
    return { _tag: "InGrace" }
  }, interpretErrors())

  /** Tells of the session of a token that is there. */
  const stateOf = Effect.fnUntraced(function* (tokenHash: TokenHash) {
    const rows = yield* findInvolved({ tokenHash, id: noId, graceSeconds: 0 }).pipe(retryRead(sql))
    const token = (yield* decodeInvolved(rows)).find((row) => row.tokenHash === tokenHash)
    return token === undefined ? yield* new RefreshTokenNotFound() : stateIn(token)
  }, interpretErrors())

  return { explain, stateOf }
}
