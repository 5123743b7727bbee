import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import type { Place } from "../../src/domain/Page.ts"
import type { UserId } from "../../src/domain/User.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { aSuccessor, aUserId, oneDayAgo } from "../support/factories.ts"
import { anExpiredToken, aSavedToken, aSavedUser } from "../support/saved.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** The ids of all pages of a user's tokens. */
const allPages = Effect.fnUntraced(function* (
  userId: UserId,
  { limit, active }: { readonly limit: number; readonly active?: boolean },
) {
  const tokens = yield* RefreshTokenRepository
  const pages: Array<ReadonlyArray<string>> = []
  let after: Place | null | undefined
  while (after !== null) {
    const { items, next }: Effect.Success<ReturnType<typeof tokens.listForUser>> = yield* tokens
      .listForUser(userId, { limit, active, after })
    pages.push(items.map(({ id }) => id))
    after = next
  }
  return pages
})

/** Gives all tokens of the user the same time of creation, down to the millisecond. */
const atOneInstant = (userId: UserId) =>
  SqlClient.SqlClient.use((sql) =>
    sql`UPDATE refresh_tokens SET created_at = '2026-01-01T00:00:00Z' WHERE user_id = ${userId}`
  )

layer(TestDatabase.layerRepositories)("RefreshTokenRepository.listForUser", (it) => {
  it.effect("lists the user's tokens, the oldest first, and nobody else's", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id, userId } = yield* aSavedToken()
      yield* aSavedToken()
      const older = yield* aSavedToken({ userId })
      yield* sql`
        UPDATE refresh_tokens SET created_at = created_at - interval '1 day' WHERE id = ${older.id}`

      const { items, next } = yield* (yield* RefreshTokenRepository).listForUser(userId, {
        limit: 50,
      })
      assert.deepStrictEqual(items.map((token) => token.id), [older.id, id])
      assert.isNull(next)
    }))

  it.effect("tells live and dead tokens apart as their validity does", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { id: userId } = yield* aSavedUser()
      const live = yield* aSavedToken({ userId })
      const expired = yield* anExpiredToken({ userId })
      const revoked = yield* aSavedToken({ userId })
      yield* tokens.revoke(revoked.tokenHash)
      const rotated = yield* aSavedToken({ userId })
      const successor = yield* tokens.rotate(rotated.tokenHash, aSuccessor())
      const both = yield* anExpiredToken({ userId })
      yield* tokens.revoke(both.tokenHash)

      const list = (active?: boolean) =>
        Effect.map(tokens.listForUser(userId, { active, limit: 50 }), ({ items }) => items)
      const active = yield* list(true)
      const inactive = yield* list(false)

      assert.sameMembers(active.map(({ id }) => id), [live.id, successor.id])
      assert.sameMembers(
        inactive.map(({ id }) => id),
        [expired.id, revoked.id, rotated.id, both.id],
      )
      assert.sameDeepMembers([...(yield* list())], [...active, ...inactive])
      for (const token of [...active, ...inactive]) {
        const found = yield* tokens.getValidByTokenHash(token.tokenHash)
        assert.strictEqual(Option.isSome(found), active.includes(token))
        assert.strictEqual(token.wasValid, active.includes(token))
      }
    }))

  it.effect("agrees with itself at the very instant of an expiry", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const sql = yield* SqlClient.SqlClient
      const { id: userId } = yield* aSavedUser()
      const over = yield* aSavedToken({ userId })
      const notYet = yield* aSavedToken({ userId })

      const [active, inactive] = yield* Effect.gen(function* () {
        const instant = sql`date_trunc('milliseconds', now())`
        yield* sql`UPDATE refresh_tokens SET expires_at = ${instant} WHERE id = ${over.id}`
        yield* sql`
          UPDATE refresh_tokens SET expires_at = ${instant} + interval '1 ms'
          WHERE id = ${notYet.id}`
        return yield* Effect.all([
          tokens.listForUser(userId, { active: true, limit: 50 }),
          tokens.listForUser(userId, { active: false, limit: 50 }),
        ])
      }).pipe(sql.withTransaction)

      assert.deepStrictEqual(active.items.map(({ id }) => id), [notYet.id])
      assert.deepStrictEqual(inactive.items.map(({ id }) => id), [over.id])
    }))

  it.effect("pages over rows of one instant, each seen exactly once", () =>
    Effect.gen(function* () {
      const { id: userId } = yield* aSavedUser()
      const saved = yield* Effect.replicateEffect(aSavedToken({ userId }), 25)
      yield* atOneInstant(userId)

      const pages = yield* allPages(userId, { limit: 4 })

      assert.deepStrictEqual(pages.map((page) => page.length), [4, 4, 4, 4, 4, 4, 1])
      assert.deepStrictEqual(pages.flat(), saved.map(({ id }) => id).sort())
    }))

  it.effect("has no empty page after a full last one", () =>
    Effect.gen(function* () {
      const { id: userId } = yield* aSavedUser()
      yield* Effect.replicateEffect(aSavedToken({ userId }), 4)

      const pages = yield* allPages(userId, { limit: 2 })
      assert.deepStrictEqual(pages.map((page) => page.length), [2, 2])
    }))

  it.effect("goes on after a row that is deleted meanwhile", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const sql = yield* SqlClient.SqlClient
      const { id: userId } = yield* aSavedUser()
      yield* Effect.replicateEffect(aSavedToken({ userId }), 6)
      yield* atOneInstant(userId)
      const ids = (yield* allPages(userId, { limit: 100 })).flat()

      const { next } = yield* tokens.listForUser(userId, { limit: 3 })
      assert.isNotNull(next)
      assert.strictEqual(next.id, ids[2])
      yield* sql`DELETE FROM refresh_tokens WHERE id = ${next.id}`
      const { items } = yield* tokens.listForUser(userId, { limit: 10, after: next })

      assert.deepStrictEqual(items.map(({ id }) => id), ids.slice(3))
    }))

  it.effect("pages over the live ones among many dead ones", () =>
    Effect.gen(function* () {
      const { id: userId } = yield* aSavedUser()
      const live: Array<string> = []
      for (let index = 0; index < 5; index++) {
        yield* anExpiredToken({ userId })
        live.push((yield* aSavedToken({ userId })).id)
      }

      const pages = yield* allPages(userId, { limit: 2, active: true })
      assert.deepStrictEqual(pages.map((page) => page.length), [2, 2, 1])
      assert.sameMembers(pages.flat(), live)
    }))

  it.effect("is empty for a user without tokens, and UserNotFound for nobody", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { id } = yield* aSavedUser()

      assert.deepStrictEqual(yield* tokens.listForUser(id, { limit: 50 }), {
        items: [],
        next: null,
      })
      const error = yield* tokens.listForUser(aUserId(), { limit: 50 }).pipe(Effect.flip)
      assert.strictEqual(error._tag, "UserNotFound")
    }))
})

layer(TestDatabase.layerRepositories)("UserRepository.list", (it) => {
  it.effect("shows all who were there throughout exactly once, whoever comes and goes", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const sql = yield* SqlClient.SqlClient
      const saved = yield* Effect.replicateEffect(aSavedUser(), 25)
      // Half of them at one instant, so that pages end in the midst of it.
      const crowd = saved.slice(5, 18).map(({ id }) => id)
      yield* sql`
        UPDATE users SET created_at = ${DateTime.formatIso(saved[5]?.createdAt ?? oneDayAgo())}
        WHERE id = ANY(${crowd}::uuid[])`
      const leaving = new Set<string>()

      const seen: Array<string> = []
      let after: Place | null | undefined
      while (after !== null) {
        const page: Effect.Success<ReturnType<typeof users.list>> = yield* users.list({
          limit: 4,
          after,
        })
        seen.push(...page.items.map(({ id }) => id))
        after = page.next
        yield* aSavedUser({ isActive: false })
        const last = page.items.at(-1)
        if (last !== undefined && seen.length < 16) {
          leaving.add(last.id)
          yield* users.delete(last.id)
        }
        if (seen.length > 200) break
      }

      const stayed = saved.map(({ id }) => id).filter((id) => !leaving.has(id))
      assert.strictEqual(new Set(seen).size, seen.length)
      assert.includeMembers(seen, stayed)
      assert.isAtLeast(leaving.size, 1)
    }))

  it.effect("is ordered by time of creation and id", () =>
    Effect.gen(function* () {
      yield* Effect.replicateEffect(aSavedUser(), 3)
      const { items } = yield* (yield* UserRepository).list({ limit: 100 })

      const places = items.map(({ createdAt, id }) => `${DateTime.formatIso(createdAt)} ${id}`)
      assert.deepStrictEqual(places, [...places].sort())
      assert.isAtLeast(places.length, 3)
    }))
})
