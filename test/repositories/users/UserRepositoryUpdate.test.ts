import { assert, layer } from "@effect/vitest"
import { Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import { Email, type Email as EmailType } from "../../../src/domain/Email.ts"
import type { UserId } from "../../../src/domain/User.ts"
import { UserRepository } from "../../../src/repositories/users/UserRepository.ts"
import {
  aGoogleId,
  aGoogleUser,
  anEmail,
  aPasswordHash,
  aUser,
  aUserId,
  oneDayAgo,
} from "../../support/factories.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const inCapitals = (email: EmailType) => Email.make(email.toUpperCase())

/** Moves the user's times into the past, so that a change of them shows. */
const backdate = (id: UserId) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.gen(function* () {
      yield* sql`ALTER TABLE users DISABLE TRIGGER users_set_version`
      yield* sql`
        UPDATE users
        SET created_at = now() - interval '1 day', updated_at = now() - interval '1 day'
        WHERE id = ${id}`
      yield* sql`ALTER TABLE users ENABLE TRIGGER users_set_version`
    }).pipe(sql.withTransaction)
  )

/** A user whom nobody has touched for a day. */
const anOldUser = Effect.fnUntraced(function* (input = aUser()) {
  const users = yield* UserRepository
  const { id } = yield* users.create(input)
  yield* backdate(id)
  return Option.getOrThrow(yield* users.getById(id))
})

layer(TestDatabase.layerRepositories)("UserRepository.update", (it) => {
  it.effect("sets what is given and leaves what is absent", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const before = yield* anOldUser(aUser({ fullName: "Ada", googleId: aGoogleId() }))

      const after = yield* users.update(before.id, { isActive: false })

      assert.deepStrictEqual(
        { ...after },
        { ...before, isActive: false, updatedAt: after.updatedAt, version: after.version },
      )
      assert.isAbove(after.updatedAt.epochMilliseconds, before.updatedAt.epochMilliseconds)
      assert.notStrictEqual(after.version, before.version)
      assert.deepStrictEqual(yield* users.getById(before.id), Option.some(after))
    }))

  it.effect("sets every property at once", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const before = yield* users.create(aUser())
      const changes = {
        email: anEmail(),
        fullName: "Grace Hopper",
        passwordHash: aPasswordHash("another"),
        authProvider: "google",
        googleId: aGoogleId(),
        isActive: false,
        emailVerifiedAt: oneDayAgo(),
      } as const

      const { id, createdAt, updatedAt, version, ...rest } = yield* users.update(before.id, changes)

      assert.deepStrictEqual(rest, changes)
      assert.strictEqual(id, before.id)
      assert.deepStrictEqual(createdAt, before.createdAt)
      assert.isAtLeast(updatedAt.epochMilliseconds, before.updatedAt.epochMilliseconds)
      assert.notStrictEqual(version, before.version)
    }))

  it.effect("clears what is null", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const before = yield* users.create(
        aGoogleUser({ fullName: "Ada", passwordHash: aPasswordHash() }),
      )

      const after = yield* users.update(before.id, { fullName: null, passwordHash: null })

      assert.isNull(after.fullName)
      assert.isNull(after.passwordHash)
      assert.strictEqual(after.googleId, before.googleId)
    }))

  it.effect("changes nothing when nothing is given, neither time nor version", () =>
    Effect.gen(function* () {
      const before = yield* anOldUser()
      const after = yield* (yield* UserRepository).update(before.id, {})
      assert.deepStrictEqual(after, before)
    }))

  it.effect("changes nothing when every value is as it was", () =>
    Effect.gen(function* () {
      const before = yield* anOldUser(aGoogleUser())
      const { email, fullName, googleId, isActive } = before
      const after = yield* (yield* UserRepository).update(before.id, {
        email,
        fullName,
        googleId,
        isActive,
      })
      assert.deepStrictEqual(after, before)
    }))

  it.effect("takes one's own e-mail address in another spelling, and keeps that", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { id, email } = yield* users.create(aUser())

      const after = yield* users.update(id, { email: inCapitals(email) })
      assert.strictEqual(after.email, inCapitals(email))
    }))

  it.effect("takes one's own Google id again, and again", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { id, googleId } = yield* users.create(aGoogleUser())

      yield* users.update(id, { googleId })
      const after = yield* users.update(id, { googleId, fullName: "Ada" })
      assert.strictEqual(after.googleId, googleId)
    }))

  it.effect("refuses another user's e-mail address in whatever case, and changes nothing", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const other = yield* users.create(aUser())
      const before = yield* anOldUser()

      const error = yield* users.update(before.id, {
        fullName: "Mallory",
        email: inCapitals(other.email),
      }).pipe(Effect.flip)

      assert.strictEqual(error._tag, "EmailTaken")
      assert.deepStrictEqual(yield* users.getById(before.id), Option.some(before))
    }))

  it.effect("refuses another user's Google id, and changes nothing", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const other = yield* users.create(aGoogleUser())
      const before = yield* anOldUser(aGoogleUser())

      const error = yield* users.update(before.id, {
        email: anEmail(),
        googleId: other.googleId,
      }).pipe(Effect.flip)

      assert.strictEqual(error._tag, "GoogleIdTaken")
      assert.deepStrictEqual(yield* users.getById(before.id), Option.some(before))
    }))

  it.effect("calls a clash of both GoogleIdTaken if with one user, but one's own address is none", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const other = yield* users.create(aGoogleUser())
      const third = yield* users.create(aUser())
      const { id, email } = yield* users.create(aUser())
      const { googleId } = other

      const both = yield* users.update(id, { email: other.email, googleId }).pipe(Effect.flip)
      assert.strictEqual(both._tag, "GoogleIdTaken")

      const two = yield* users.update(id, { email: third.email, googleId }).pipe(Effect.flip)
      assert.strictEqual(two._tag, "EmailTaken")

      const one = yield* users.update(id, { email, googleId }).pipe(Effect.flip)
      assert.strictEqual(one._tag, "GoogleIdTaken")
    }))

  it.effect("refuses to clear what the provider needs, and changes nothing", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const byEmail = yield* anOldUser(aUser({ googleId: aGoogleId() }))
      const byGoogle = yield* anOldUser(aGoogleUser({ passwordHash: aPasswordHash() }))

      const errors = yield* Effect.all([
        users.update(byEmail.id, { fullName: "x", passwordHash: null }).pipe(Effect.flip),
        users.update(byGoogle.id, { fullName: "x", googleId: null }).pipe(Effect.flip),
      ])

      assert.deepStrictEqual(errors.map(({ _tag }) => _tag), [
        "CredentialsMissing",
        "CredentialsMissing",
      ])
      assert.deepStrictEqual(yield* users.getById(byEmail.id), Option.some(byEmail))
      assert.deepStrictEqual(yield* users.getById(byGoogle.id), Option.some(byGoogle))
    }))

  it.effect("judges the credentials on the whole result", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { id } = yield* users.create(aUser())

      const tooEarly = yield* users.update(id, { authProvider: "google" }).pipe(Effect.flip)
      assert.strictEqual(tooEarly._tag, "CredentialsMissing")

      const switched = yield* users.update(id, {
        authProvider: "google",
        googleId: aGoogleId(),
        passwordHash: null,
      })
      assert.strictEqual(switched.authProvider, "google")

      yield* users.update(id, { passwordHash: aPasswordHash() })
      const back = yield* users.update(id, { authProvider: "email", googleId: null })
      assert.strictEqual(back.authProvider, "email")
      assert.isNull(back.googleId)
    }))

  it.effect("of a user who does not exist is UserNotFound", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { version } = yield* users.create(aUser())

      const plain = yield* users.update(aUserId(), {}).pipe(Effect.flip)
      const conditional = yield* users.update(aUserId(), {}, { ifVersion: [version] }).pipe(
        Effect.flip,
      )
      assert.deepStrictEqual([plain._tag, conditional._tag], ["UserNotFound", "UserNotFound"])
    }))

  it.effect("leaves the transaction of a caller who is refused usable", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const users = yield* UserRepository
      const { email } = yield* users.create(aUser())
      const { id } = yield* users.create(aUser())

      yield* users.update(id, { email }).pipe(
        Effect.catchTag("EmailTaken", () => users.update(id, { fullName: "Ada" })),
        sql.withTransaction,
      )
      const after = Option.getOrThrow(yield* users.getById(id))
      assert.strictEqual(after.fullName, "Ada")
    }))
})

layer(TestDatabase.layerRepositories)("a user's version", (it) => {
  it.effect("changes with every change, also twice within a millisecond", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const sql = yield* SqlClient.SqlClient
      const created = yield* users.create(aUser())

      // now() stands still in a transaction, so both changes happen at the same instant.
      const [first, second] = yield* Effect.all([
        users.update(created.id, { fullName: "Ada" }),
        users.update(created.id, { fullName: "Grace" }),
      ]).pipe(sql.withTransaction)

      assert.deepStrictEqual(first.updatedAt, second.updatedAt)
      assert.strictEqual(new Set([created.version, first.version, second.version]).size, 3)
    }))

  it.effect("changes when the row is changed with plain SQL, whatever that sets", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const sql = yield* SqlClient.SqlClient
      const before = yield* anOldUser()

      yield* sql`
        UPDATE users SET full_name = 'Ada', version = version, updated_at = updated_at
        WHERE id = ${before.id}`

      const after = Option.getOrThrow(yield* users.getById(before.id))
      assert.strictEqual(after.fullName, "Ada")
      assert.notStrictEqual(after.version, before.version)
      assert.isAbove(after.updatedAt.epochMilliseconds, before.updatedAt.epochMilliseconds)
    }))

  it.effect("cannot be set back with plain SQL", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const sql = yield* SqlClient.SqlClient
      const first = yield* users.create(aUser())
      const second = yield* users.update(first.id, { fullName: "Ada" })

      yield* sql`UPDATE users SET version = ${first.version}::bigint WHERE id = ${first.id}`

      const third = Option.getOrThrow(yield* users.getById(first.id))
      assert.strictEqual(new Set([first.version, second.version, third.version]).size, 3)
    }))

  it.effect("is never repeated by a user who is created again under the same id", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const id = aUserId()
      const input = aUser()
      const versions = new Set<string>()
      for (let life = 0; life < 3; life++) {
        const created = yield* users.create(input, { idempotencyKey: id })
        const changed = yield* users.update(id, { fullName: "Ada" })
        versions.add(created.version).add(changed.version)
        yield* users.delete(id)
      }
      assert.strictEqual(versions.size, 6)
    }))

  it.effect("as a precondition lets a change through when one of them matches", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const first = yield* users.create(aUser())
      const second = yield* users.update(first.id, { fullName: "Ada" }, {
        ifVersion: [first.version],
      })

      const third = yield* users.update(first.id, { fullName: "Grace" }, {
        ifVersion: [first.version, second.version],
      })
      assert.strictEqual(third.fullName, "Grace")
    }))

  it.effect("as a precondition stops a change when none matches, and nothing changes", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const first = yield* users.create(aUser())
      const second = yield* users.update(first.id, { fullName: "Ada" })

      const stale = yield* users.update(first.id, { fullName: "Mallory" }, {
        ifVersion: [first.version],
      }).pipe(Effect.flip)
      const none = yield* users.update(first.id, { fullName: "Mallory" }, { ifVersion: [] }).pipe(
        Effect.flip,
      )

      assert.deepStrictEqual([stale._tag, none._tag], ["VersionMismatch", "VersionMismatch"])
      assert.deepStrictEqual(yield* users.getById(first.id), Option.some(second))
    }))

  it.effect("as a precondition lets one of twenty changes at once win", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { id, version } = yield* users.create(aUser())

      const results = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => `Ada ${index}`),
        (fullName) => Effect.result(users.update(id, { fullName }, { ifVersion: [version] })),
        { concurrency: "unbounded" },
      )

      const winners = results.flatMap((result) => result._tag === "Success" ? [result.success] : [])
      assert.lengthOf(winners, 1)
      assert.deepStrictEqual(yield* users.getById(id), Option.fromUndefinedOr(winners[0]))
      assert.isTrue(
        results.every((result) =>
          result._tag === "Success" || result.failure._tag === "VersionMismatch"
        ),
      )
    }))
})
