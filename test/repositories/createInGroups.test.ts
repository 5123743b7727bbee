import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../src/domain/Email.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { atOnce, few, outcomes, tagsOf } from "../support/atOnce.ts"
import {
  aGoogleUser,
  anAttempt,
  anEmail,
  anIpAddress,
  aToken,
  aTokenHash,
  aUser,
  aUserId,
} from "../support/factories.ts"
import { aSavedToken, aSavedUser } from "../support/saved.ts"
import { Statements } from "../support/Statements.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const several = Array.from({ length: 20 })

/** How many commits the rows of a table with these ids came with. */
const commits = (table: string, rows: ReadonlyArray<object | string>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const ids = rows.map((row) => typeof row === "object" && "id" in row ? String(row.id) : row)
    const [found] = yield* sql<{ readonly rows: number; readonly commits: number }>`
      SELECT count(*)::int AS rows, count(DISTINCT xmin::text)::int AS commits
      FROM ${sql(table)}
      WHERE id = ANY(${ids}::uuid[])`
    assert.strictEqual(found?.rows, ids.length)
    return found?.commits ?? 0
  })

layer(TestDatabase.layerRepositories.pipe(Layer.provideMerge(Statements.layer)), {
  excludeTestServices: true,
})("creations at once", (it) => {
  it.effect("of users are a few statements and commits, and each caller gets its own", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { counted } = yield* Statements
      const wanted = several.flatMap((_, index) => [
        aUser({ fullName: `Ada "${index}" \\ 😀`, isActive: index % 2 === 0 }),
        aGoogleUser(),
      ])
      const [statements, created] = yield* counted(atOnce(wanted.map((user) => users.create(user))))
      assert.isAtMost(statements, few)
      assert.isAtMost(yield* commits("users", created), few)
      for (const [index, user] of created.entries()) {
        const { email, fullName, authProvider, googleId, isActive, emailVerifiedAt } = user
        const { passwordHash: _, ...rest } = wanted[index] ?? aUser()
        assert.deepStrictEqual(
          { email, fullName, authProvider, googleId, isActive, emailVerifiedAt },
          rest,
        )
        assert.deepStrictEqual(yield* users.getById(user.id), Option.some(user))
      }
    }))

  it.effect("of users refuse those whose address or Google id is taken, and no others", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { counted } = yield* Statements
      const taken = yield* users.create(aGoogleUser())
      const email = anEmail()
      const { googleId } = aGoogleUser()
      const good = several.map(() => aUser())
      const [statements, found] = yield* counted(outcomes([
        ...good,
        aUser({ email: Email.make(taken.email.toUpperCase()) }),
        aGoogleUser({ googleId: taken.googleId }),
        aGoogleUser({ googleId: taken.googleId, email: taken.email }),
        ...several.map((_, index) =>
          aUser({ email: Email.make(index % 2 === 0 ? email : email.toUpperCase()) })
        ),
        aGoogleUser({ googleId }),
        aGoogleUser({ googleId }),
      ].map((user) => users.create(user))))

      assert.deepStrictEqual(tagsOf(found.slice(0, 23)), [
        ...several.map(() => "done"),
        "EmailTaken",
        "GoogleIdTaken",
        "GoogleIdTaken",
      ])
      assert.deepStrictEqual(tagsOf(found.slice(23, 43)).sort(), [
        ...several.slice(1).map(() => "EmailTaken"),
        "done",
      ])
      assert.deepStrictEqual(tagsOf(found.slice(43)).sort(), ["GoogleIdTaken", "done"])
      assert.isAtMost(yield* commits("users", found.slice(0, 20)), few)
      assert.isAtLeast(statements, 23)
    }))

  it.effect("of users are done one by one where one of them lacks its credentials", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const good = several.map(() => aUser())
      const [opener, ...others] = good
      const found = yield* outcomes(
        [
          opener ?? aUser(),
          aUser({ passwordHash: null }),
          ...others,
          aGoogleUser({ googleId: null }),
        ]
          .map((user) => users.create(user)),
      )
      assert.deepStrictEqual(tagsOf(found), [
        "done",
        "CredentialsMissing",
        ...others.map(() => "done"),
        "CredentialsMissing",
      ])
      for (const { email } of good) assert.isTrue(Option.isSome(yield* users.getByEmail(email)))
    }))

  it.effect("of tokens are a few statements and commits, and each caller gets its own", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { counted } = yield* Statements
      const owners = [yield* aSavedUser(), yield* aSavedUser()]
      const wanted = several.flatMap((_, index) =>
        owners.map(({ id }) =>
          aToken(id, {
            userAgent: `agent "${index}" \\ 😀`,
            ipAddress: index % 2 === 0 ? anIpAddress("2001:db8::1") : null,
            sessionExpiresAt: index % 4 === 0 ? DateTime.makeUnsafe("2099-01-01T00:00:00Z") : null,
          })
        )
      )
      const [statements, created] = yield* counted(
        atOnce(wanted.map((token) => tokens.create(token))),
      )
      assert.isAtMost(statements, few)
      assert.isAtMost(yield* commits("refresh_tokens", created), few)
      assert.deepStrictEqual(
        created.map(({ userId, tokenHash, expiresAt, userAgent, ipAddress, sessionExpiresAt }) => ({
          userId,
          tokenHash,
          expiresAt,
          userAgent,
          ipAddress,
          sessionExpiresAt,
        })),
        wanted.map(({ userVersion: _, maxSessions: __, onLimit: ___, ...stored }) => stored),
      )
      for (const token of created) {
        assert.deepStrictEqual(
          yield* tokens.getValidByTokenHash(token.tokenHash),
          Option.some(token),
        )
      }
    }))

  it.effect("of tokens refuse a hash that is taken and a user who is not there, and no others", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { userId, tokenHash } = yield* aSavedToken()
      const other = yield* aSavedUser()
      const twice = aTokenHash()
      const found = yield* outcomes([
        ...several.map(() => aToken(other.id)),
        aToken(other.id, { tokenHash }),
        aToken(aUserId()),
        aToken(aUserId(), { tokenHash }),
        ...several.map(() => aToken(userId)),
        aToken(userId, { tokenHash: twice }),
        aToken(other.id, { tokenHash: twice }),
      ].map((token) => tokens.create(token)))

      assert.deepStrictEqual(
        tagsOf(found.slice(20, 23)),
        ["TokenHashTaken", "UserNotFound", "UserNotFound"],
      )
      const good = [...found.slice(0, 20), ...found.slice(23, 43)]
      assert.deepStrictEqual(tagsOf(good), good.map(() => "done"))
      assert.isAtMost(yield* commits("refresh_tokens", good), few)
      assert.deepStrictEqual(tagsOf(found.slice(43)).sort(), ["TokenHashTaken", "done"])
    }))

  it.effect("of attempts are a few statements and commits, but for users who are not there", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const { counted } = yield* Statements
      const { id: userId, email } = yield* aSavedUser()
      const wanted = several.flatMap((_, index) => [
        anAttempt({ userId, email, success: index % 2 === 0 }),
        anAttempt({ userAgent: `agent "${index}" \\ 😀`, failureReason: `reason ${index}` }),
      ])
      const [statements, found] = yield* counted(outcomes(
        [...wanted, anAttempt({ userId: aUserId() }), anAttempt({ userId: aUserId() })]
          .map((attempt) => attempts.create(attempt)),
      ))
      const [created, refused] = [found.slice(0, wanted.length), found.slice(wanted.length)]
      assert.deepStrictEqual(refused, ["UserNotFound", "UserNotFound"])
      assert.isAtMost(statements, few + refused.length)
      assert.isAtMost(yield* commits("login_attempts", created), few)
      assert.deepStrictEqual(
        created.map((attempt) => {
          if (typeof attempt === "string") return attempt
          const { id: _, attemptedAt: __, ...given } = attempt
          return given
        }),
        wanted.map((attempt) => ({ ...attempt, pending: false })),
      )
      assert.strictEqual(yield* attempts.countRecentFailures(userId), 10)
    }))
})
