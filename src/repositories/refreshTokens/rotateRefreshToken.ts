/**
 * The rotation of refresh tokens (RFC 9700, 4.14.2).
 */
import { Effect, Option, Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { interpretErrors, refreshTokenConstraints } from "../../database/Constraints.ts"
import { makeWaitFor } from "../../database/LockWaits.ts"
import { traced } from "../../database/traced.ts"
import { withSavepointOrRetry } from "../../database/transactions.ts"
import { IdempotencyKeyReused } from "../../domain/IdempotencyKey.ts"
import {
  GraceSeconds,
  OnReuse,
  RefreshTokenReused,
  SelfRotation,
  Successor,
  TokenHash,
  TokenHashTaken,
} from "../../domain/RefreshToken.ts"
import { nullable } from "../../schema/nullable.ts"
import { makeCreate } from "../makeCreate.ts"
import { uuidV7 } from "../uuidV7.ts"
import type { CreateOptions } from "./createRefreshToken.ts"
import { makeExplainRotation, type Rotation } from "./explainRotation.ts"
import { makeReplace, makeReplaceWhereFree } from "./replaceToken.ts"
import { makeEndSession } from "./revokeRefreshToken.ts"
import { RotationDefaults } from "./RotationDefaults.ts"
import type { TokenShape } from "./tokenWithUser.ts"

export interface RotateOptions extends CreateOptions {
  /** For how many seconds after its rotation the token may be rotated once more. */
  readonly graceSeconds?: number | undefined
  /** What becomes of the session when the token was rotated before. */
  readonly onReuse?: OnReuse | undefined
}

/** What a request for a rotation is told apart from others by. */
const Request = Schema.Struct({
  tokenHash: TokenHash,
  successor: Successor,
  graceSeconds: nullable(GraceSeconds),
  onReuse: nullable(OnReuse),
})
type Request = typeof Request.Type

/** Makes a function that replaces a token, or fails with the reason why it cannot be. */
const makeReplaceOrRefuse = <Row>(sql: SqlClient.SqlClient, shape: TokenShape<Row>) => {
  const { replace, replaceInGrace } = makeReplace(sql, shape)
  const { explain, stateOf } = makeExplainRotation(sql, shape)

  const run = (
    statement: Effect.Effect<Option.Option<Row>, SqlError.SqlError | Schema.SchemaError>,
    rotation: Rotation,
    id: string,
  ) =>
    statement.pipe(
      withSavepointOrRetry(sql),
      interpretErrors({
        refresh_tokens_token_hash_key: refreshTokenConstraints.refresh_tokens_token_hash_key,
        refresh_tokens_pkey: () => new IdempotencyKeyReused(),
      }),
      Effect.catchTag(
        "TokenHashTaken",
        Effect.fnUntraced(function* () {
          // Of two equal rotations in grace at once, the later one finds the token of the earlier one.
          const obstacle = yield* explain(rotation, id)
          if (obstacle._tag === "Rotated") return Option.some(obstacle.successor)
          // Only the rotation of a live session gets as far as to meet another token's hash.
          const session = { ...yield* stateOf(rotation.tokenHash), sessionIsLive: true }
          return yield* new TokenHashTaken({ session })
        }),
      ),
    )

  return Effect.fnUntraced(function* (
    rotation: Rotation,
    id: string,
    fingerprint: Uint8Array | null,
  ) {
    const { tokenHash, successor, graceSeconds } = rotation
    const replacement = { ...successor, id, fingerprint, replaces: tokenHash, graceSeconds }
    while (true) {
      const replaced = yield* run(replace(replacement), rotation, id)
      if (Option.isSome(replaced)) return replaced
      const obstacle = yield* explain(rotation, id)
      if (obstacle._tag === "Rotated") return Option.some(obstacle.successor)
      if (obstacle._tag === "IdExists") return Option.none<Row>()
      if (obstacle._tag === "InGrace") {
        const added = yield* run(replaceInGrace(replacement), rotation, id)
        if (Option.isSome(added)) return added
      }
    }
  })
}

/** Makes a function that rotates tokens and gives successors in a shape. */
export const makeRotateRefreshToken = Effect.fnUntraced(function* <Row>(
  sql: SqlClient.SqlClient,
  name: string,
  shape: TokenShape<Row>,
) {
  const defaults = yield* RotationDefaults
  const replaceOrRefuse = makeReplaceOrRefuse(sql, shape)
  const replaceWhereFree = makeReplaceWhereFree(sql, shape)
  const endSession = makeEndSession(sql)
  const waitFor = yield* makeWaitFor(sql)

  const insert = (request: Request, id: string, fingerprint: Uint8Array | null) => {
    const graceSeconds = request.graceSeconds ?? defaults.graceSeconds
    return replaceOrRefuse({ ...request, graceSeconds }, id, fingerprint)
  }

  const rotate = yield* makeCreate(sql, {
    name,
    table: shape,
    row: shape.row,
    operation: "rotate",
    values: Request,
    added: new Set(["graceSeconds", "onReuse"]),
    newId: uuidV7,
    lock: ({ tokenHash }) => tokenHash,
    insert,
    insertMany: (calls) =>
      replaceWhereFree(
        calls.map(([id, { tokenHash, successor }]) => ({ ...successor, id, replaces: tokenHash })),
      ),
  })

  /** Ends the session of a reused token, and fails with the reuse: not with a key that is taken. */
  const rotateOrEnd = (
    request: Request,
    idempotencyKey: string | undefined,
  ): ReturnType<typeof rotate> =>
    Effect.catchTag(
      rotate(request, idempotencyKey),
      "RefreshTokenReused",
      Effect.fnUntraced(function* (reuse: RefreshTokenReused) {
        const { tokenHash } = request
        const { revoked } = yield* waitFor(
          tokenHash,
          endSession({ tokenHash, reason: "reuse-detected" }),
        )
        // Somebody else has ended the session meanwhile, or its user: the answer is another one then.
        return reuse.sessionIsLive && revoked === 0
          ? yield* rotateOrEnd(request, idempotencyKey)
          : yield* reuse
      }),
    )

  return traced(
    name,
    Effect.fnUntraced(function* (
      tokenHash: TokenHash,
      successor: Successor,
      { idempotencyKey, graceSeconds, onReuse }: RotateOptions = {},
    ) {
      if (successor.tokenHash === tokenHash) return yield* new SelfRotation()
      const request = {
        tokenHash,
        successor,
        graceSeconds: graceSeconds ?? null,
        onReuse: onReuse ?? null,
      }
      return yield* (onReuse ?? defaults.onReuse) === "report"
        ? rotate(request, idempotencyKey)
        : rotateOrEnd(request, idempotencyKey)
    }),
  )
})
