import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Option, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { RefreshToken, Successor } from "../../../src/domain/RefreshToken.ts"
import { RefreshTokenRepository } from "../../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { beforeStatement } from "../../support/beforeStatement.ts"
import { aSuccessor, aToken, aTokenHash, aTokenId } from "../../support/factories.ts"
import { aSavedToken } from "../../support/saved.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const twenty = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: 20 }), () => call, { concurrency: "unbounded" })

layer(TestDatabase.layerRepositories)("the idempotency key of a rotation", (it) => {
  it.effect("becomes the successor's id, and the same call again gives the same successor", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const old = yield* aSavedToken()
      const idempotencyKey = aTokenId()
      const input = aSuccessor()

      const first = yield* tokens.rotate(old.tokenHash, input, { idempotencyKey })
      const again = yield* tokens.rotate(old.tokenHash, input, { idempotencyKey })

      assert.strictEqual(first.id, idempotencyKey)
      assert.deepStrictEqual(again, first)
    }))

  it.effect("takes the same values for the same body, however they are written", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const decode = Schema.decodeUnknownEffect(Successor)
      const old = yield* aSavedToken()
      const idempotencyKey = aTokenId()
      const tokenHash = aTokenHash()
      const bodies = [
        { tokenHash, expiresAt: "2099-01-01T00:00:00Z" },
        { userAgent: null, expiresAt: "2099-01-01T00:00:00.000+00:00", tokenHash },
      ]
      const rotate = (body: unknown) =>
        Effect.flatMap(
          decode(body),
          (successor) => tokens.rotate(old.tokenHash, successor, { idempotencyKey }),
        )

      yield* rotate(bodies[0])
      const revoked = yield* tokens.revoke(tokenHash)
      assert.deepStrictEqual(yield* rotate(bodies[1]), revoked)
    }))

  it.effect("answers a late retry with the successor as it is now", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const old = yield* aSavedToken()
      const idempotencyKey = aTokenId()
      const input = aSuccessor()
      yield* tokens.rotate(old.tokenHash, input, { idempotencyKey })
      yield* tokens.rotate(input.tokenHash, aSuccessor())

      const late = yield* tokens.rotate(old.tokenHash, input, { idempotencyKey })
      assert.strictEqual(late.id, idempotencyKey)
      assert.isNotNull(late.revokedAt)
    }))

  it.effect("makes twenty calls at once one successor and twenty equal answers", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const old = yield* aSavedToken()
      const idempotencyKey = aTokenId()
      const input = aSuccessor()

      const answers = yield* twenty(tokens.rotate(old.tokenHash, input, { idempotencyKey }))

      assert.deepStrictEqual(new Set(answers.map(({ id }) => id)), new Set([idempotencyKey]))
      const { items } = yield* tokens.listForUser(old.userId, { limit: 100 })
      assert.lengthOf(items, 2)
    }))

  it.effect("is refused with another body while the successor lives, and after", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const old = yield* aSavedToken()
      const live = yield* aSavedToken()
      const idempotencyKey = aTokenId()
      const input = aSuccessor()
      yield* tokens.rotate(old.tokenHash, input, { idempotencyKey })
      const later = DateTime.add(input.expiresAt, { seconds: 1 })
      const others: ReadonlyArray<Effect.Effect<RefreshToken, { readonly _tag: string }>> = [
        tokens.rotate(old.tokenHash, { ...input, userAgent: "curl" }, { idempotencyKey }),
        tokens.rotate(old.tokenHash, { ...input, expiresAt: later }, { idempotencyKey }),
        tokens.rotate(old.tokenHash, aSuccessor(), { idempotencyKey }),
        tokens.rotate(old.tokenHash, input, { idempotencyKey, graceSeconds: 0 }),
        tokens.rotate(old.tokenHash, input, { idempotencyKey, onReuse: "report" }),
        tokens.rotate(live.tokenHash, aSuccessor(), { idempotencyKey }),
        tokens.create(aToken(old.userId, input), { idempotencyKey }),
      ]
      const tags = Effect.forEach(others, (other) => Effect.map(Effect.flip(other), (e) => e._tag))
      const refused = others.map(() => "IdempotencyKeyReused")

      assert.deepStrictEqual(yield* tags, refused)
      yield* tokens.revoke(input.tokenHash)
      assert.deepStrictEqual(yield* tags, refused)
      assert.deepStrictEqual(yield* tokens.getValidByTokenHash(live.tokenHash), Option.some(live))
    }))

  it.effect("that another row holds is refused, also where the rotation was done without one", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const old = yield* aSavedToken()
      const { id: idempotencyKey } = yield* aSavedToken()
      const input = aSuccessor()
      yield* tokens.rotate(old.tokenHash, input)

      const error = yield* tokens.rotate(old.tokenHash, input, { idempotencyKey }).pipe(Effect.flip)
      assert.strictEqual(error._tag, "IdempotencyKeyReused")
    }))

  it.effect("that no row holds does no harm to the answer that was lost", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const old = yield* aSavedToken()
      const input = aSuccessor()
      const successor = yield* tokens.rotate(old.tokenHash, input)

      const replay = yield* tokens.rotate(old.tokenHash, input, { idempotencyKey: aTokenId() })
      assert.deepStrictEqual(replay, successor)
    }))

  for (
    const { successor, deleted, refusal } of [
      { successor: "live", deleted: "user", refusal: "RefreshTokenNotFound" },
      { successor: "expired", deleted: "user", refusal: "RefreshTokenNotFound" },
      { successor: "expired", deleted: "successor", refusal: "RefreshTokenReused" },
    ] as const
  ) {
    it.effect(
      `whose ${successor} successor is gone with a deletion of the ${deleted} answers as before or after it`,
      () =>
        Effect.forEach(Array.from({ length: 8 }).keys(), (index) =>
          Effect.gen(function* () {
            const tokens = yield* RefreshTokenRepository
            const sql = yield* SqlClient.SqlClient
            const old = yield* aSavedToken()
            const idempotencyKey = aTokenId()
            const input = aSuccessor()
            const rotate = tokens.rotate(old.tokenHash, input, { idempotencyKey })
            yield* rotate
            if (successor === "expired") {
              yield* sql`
                UPDATE refresh_tokens
                SET expires_at = now() - interval '1 day'
                WHERE id = ${idempotencyKey}`
            }
            const created = yield* rotate

            const answer = yield* beforeStatement(
              rotate,
              index,
              deleted === "user"
                ? sql`DELETE FROM users WHERE id = ${old.userId}`
                : sql`DELETE FROM refresh_tokens WHERE id = ${idempotencyKey}`,
            ).pipe(Effect.catch(({ _tag }) => Effect.succeed(_tag)))
            if (typeof answer === "string") assert.strictEqual(answer, refusal)
            else assert.deepStrictEqual(answer, created)
          })),
    )
  }
})
