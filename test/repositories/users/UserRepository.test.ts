import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Exit, Option } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../../src/domain/Email.ts"
import { GoogleId } from "../../../src/domain/User.ts"
import { UserRepository } from "../../../src/repositories/users/UserRepository.ts"
import {
  aGoogleId,
  aGoogleUser,
  anEmail,
  aPasswordHash,
  aUser,
  aUserId,
} from "../../support/factories.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const inCapitals = (email: Email) => Email.make(email.toUpperCase())

layer(TestDatabase.layerRepositories)("UserRepository.create", (it) => {
  it.effect("creates a user who signs in with e-mail and password", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const input = aUser({ fullName: "Ada Lovelace" })

      const user = yield* users.create(input)

      assert.strictEqual(user.email, input.email)
      assert.strictEqual(user.fullName, "Ada Lovelace")
      assert.strictEqual(user.authProvider, "email")
      assert.isNotNull(user.passwordHash)
      assert.deepStrictEqual(user.passwordHash, input.passwordHash)
      assert.isNull(user.googleId)
      assert.isTrue(user.isActive)
      assert.deepStrictEqual(user.updatedAt, user.createdAt)
      assert.deepStrictEqual(yield* users.getById(user.id), Option.some(user))
    }))

  it.effect("creates a user who signs in with Google", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const input = aGoogleUser()

      const user = yield* users.create(input)

      assert.strictEqual(user.authProvider, "google")
      assert.strictEqual(user.googleId, input.googleId)
      assert.isNull(user.passwordHash)
      assert.deepStrictEqual(yield* users.getById(user.id), Option.some(user))
    }))

  it.effect("creates an inactive user when told so", () =>
    Effect.gen(function* () {
      const { isActive } = yield* (yield* UserRepository).create(aUser({ isActive: false }))
      assert.isFalse(isActive)
    }))

  it.effect("answers with times that survive JSON", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const user = yield* (yield* UserRepository).create(aUser())

      const rows = yield* sql`
        SELECT id FROM users
        WHERE id = ${user.id} AND created_at = ${DateTime.formatIso(user.createdAt)}::timestamptz`
      assert.lengthOf(rows, 1)
    }))

  it.effect("keeps the spelling of an e-mail address and every character of a Google id", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const suffix = anEmail()
      for (const name of ["a+b", "a%2Bb", "a/b", "o'b", "50%", "what?", "n#1", "Grüße"]) {
        const googleId = GoogleId.make(`${name} ${suffix}`)
        const created = yield* users.create(aGoogleUser({ googleId }))
        assert.deepStrictEqual(yield* users.getByGoogleId(googleId), Option.some(created))
      }
      for (const name of ["a+b", "a%2Bb", "a/b", "o'b", "50%", "what?", "n#1", "Mixed"]) {
        const email = Email.make(`${name}.${suffix}`)
        const created = yield* users.create(aUser({ email }))
        assert.strictEqual(created.email, email)
        assert.deepStrictEqual(yield* users.getByEmail(email), Option.some(created))
      }
    }))

  it.effect("refuses an e-mail address that is taken, in whatever case", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { email } = yield* users.create(aUser())

      const same = yield* users.create(aUser({ email })).pipe(Effect.flip)
      const otherCase = yield* users.create(aUser({ email: inCapitals(email) })).pipe(Effect.flip)

      assert.strictEqual(same._tag, "EmailTaken")
      assert.strictEqual(otherCase._tag, "EmailTaken")
    }))

  it.effect("refuses an e-mail address that was written with plain SQL", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const email = anEmail()
      yield* sql`
        INSERT INTO users (email, auth_provider, password_hash)
        VALUES (${inCapitals(email)}, 'email', 'hash')`

      const error = yield* (yield* UserRepository).create(aUser({ email })).pipe(Effect.flip)
      assert.strictEqual(error._tag, "EmailTaken")
    }))

  it.effect("leaves no way around it for plain SQL", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { email } = yield* (yield* UserRepository).create(aUser())

      const error = yield* sql`
        INSERT INTO users (email, auth_provider, password_hash)
        VALUES (${inCapitals(email)}, 'email', 'hash')`.pipe(Effect.flip)
      assert.strictEqual(error.reason._tag, "UniqueViolation")
    }))

  it.effect("lets one of twenty creations of one address at once win", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const email = anEmail()

      const results = yield* Effect.forEach(
        Array.from({ length: 20 }, () => aUser({ email })),
        (user) => Effect.result(users.create(user)),
        { concurrency: "unbounded" },
      )

      const failures = results.flatMap((result) =>
        result._tag === "Failure" ? [result.failure._tag] : []
      )
      assert.deepStrictEqual(failures, Array.from({ length: 19 }, () => "EmailTaken" as const))
    }))

  it.effect("refuses a Google id that is taken", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { googleId } = yield* users.create(aGoogleUser())

      const error = yield* users.create(aGoogleUser({ googleId })).pipe(Effect.flip)
      assert.strictEqual(error._tag, "GoogleIdTaken")
    }))

  it.effect("takes Google ids that differ only by case for different ones", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const lower = aGoogleId()
      const upper = GoogleId.make(lower.toUpperCase())
      yield* users.create(aGoogleUser({ googleId: lower }))

      const other = yield* users.create(aGoogleUser({ googleId: upper }))
      assert.strictEqual(other.googleId, upper)
    }))

  it.effect("calls a clash of both with one user GoogleIdTaken", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { email, googleId } = yield* users.create(aGoogleUser())

      const error = yield* users.create(aGoogleUser({ email, googleId })).pipe(Effect.flip)
      assert.strictEqual(error._tag, "GoogleIdTaken")
    }))

  it.effect("calls a clash with two users at once EmailTaken", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { email } = yield* users.create(aUser())
      const { googleId } = yield* users.create(aGoogleUser())

      const error = yield* users.create(aGoogleUser({ email, googleId })).pipe(Effect.flip)
      assert.strictEqual(error._tag, "EmailTaken")
    }))

  it.effect.each(
    [
      ["users_email_key", "lower(email)"],
      ["users_google_id_key", "google_id"],
    ] as const,
  )(
    "calls them so also where %s was rebuilt, and so is looked at last",
    ([index, column]) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const users = yield* UserRepository
        const { email } = yield* users.create(aUser())
        const other = yield* users.create(aGoogleUser())
        const { googleId } = other

        const errors = yield* Effect.gen(function* () {
          yield* sql`DROP INDEX ${sql(index)}`
          yield* sql`CREATE UNIQUE INDEX ${sql(index)} ON users (${sql.literal(column)})`
          return yield* Effect.forEach(
            [other.email, email],
            (email) => Effect.flip(users.create(aGoogleUser({ email, googleId }))),
          )
        }).pipe(sql.withTransaction)
        assert.deepStrictEqual(errors.map(({ _tag }) => _tag), ["GoogleIdTaken", "EmailTaken"])
      }),
  )

  it.effect("refuses an e-mail account without a password hash", () =>
    Effect.gen(function* () {
      const error = yield* (yield* UserRepository).create(
        aUser({ passwordHash: null, googleId: aGoogleId() }),
      ).pipe(Effect.flip)
      assert.strictEqual(error._tag, "CredentialsMissing")
    }))

  it.effect("refuses a Google account without a Google id", () =>
    Effect.gen(function* () {
      const error = yield* (yield* UserRepository).create(
        aGoogleUser({ googleId: null, passwordHash: aPasswordHash() }),
      ).pipe(Effect.flip)
      assert.strictEqual(error._tag, "CredentialsMissing")
    }))

  it.effect("tells what is wrong inside a transaction of the caller too", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const users = yield* UserRepository
      const { googleId } = yield* users.create(aGoogleUser())

      const error = yield* users.create(aGoogleUser({ googleId })).pipe(
        sql.withTransaction,
        Effect.flip,
      )
      assert.strictEqual(error._tag, "GoogleIdTaken")
    }))
})

layer(TestDatabase.layerRepositories)("UserRepository's look-ups", (it) => {
  it.effect("find a user by e-mail address, in whatever case", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const user = yield* users.create(aUser())

      assert.deepStrictEqual(yield* users.getByEmail(user.email), Option.some(user))
      assert.deepStrictEqual(yield* users.getByEmail(inCapitals(user.email)), Option.some(user))
    }))

  it.effect("find nobody by an unknown e-mail address", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { email } = yield* users.create(aUser())

      assert.isTrue(Option.isNone(yield* users.getByEmail(anEmail())))
      assert.isTrue(Option.isNone(yield* users.getByEmail(Email.make(`x${email}`))))
    }))

  it.effect("find a user by Google id", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const googleId = aGoogleId()
      const user = yield* users.create(aGoogleUser({ googleId }))

      assert.deepStrictEqual(yield* users.getByGoogleId(googleId), Option.some(user))
    }))

  it.effect("find nobody by an unknown Google id, nor by another case of a known one", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const googleId = aGoogleId()
      yield* users.create(aGoogleUser({ googleId }))

      assert.isTrue(Option.isNone(yield* users.getByGoogleId(aGoogleId())))
      const otherCase = GoogleId.make(googleId.toUpperCase())
      assert.isTrue(Option.isNone(yield* users.getByGoogleId(otherCase)))
    }))

  it.effect("find nobody by an unknown id", () =>
    Effect.gen(function* () {
      assert.isTrue(Option.isNone(yield* (yield* UserRepository).getById(aUserId())))
    }))

  it.effect("read what plain SQL wrote beyond the limits of input", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const email = anEmail()
      yield* sql`
        INSERT INTO users (email, auth_provider, password_hash, full_name)
        VALUES (${email}, 'email', '', ${"x".repeat(1_000)})`

      const user = yield* (yield* UserRepository).getByEmail(email)
      assert.strictEqual(
        Option.map(user, ({ fullName }) => fullName?.length).pipe(
          Option.getOrNull,
        ),
        1_000,
      )
    }))
})

layer(TestDatabase.layerRepositories)("UserRepository.delete", (it) => {
  it.effect("deletes a user, once", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { id } = yield* users.create(aUser())

      yield* users.delete(id)

      assert.isTrue(Option.isNone(yield* users.getById(id)))
      const error = yield* users.delete(id).pipe(Effect.flip)
      assert.strictEqual(error._tag, "UserNotFound")
    }))

  it.effect("frees the e-mail address and the Google id", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { id, email, googleId } = yield* users.create(aGoogleUser())
      yield* users.delete(id)

      const again = yield* users.create(aGoogleUser({ email, googleId }))
      assert.notStrictEqual(again.id, id)
    }))

  it.effect("happens only in a version that was asked for", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const first = yield* users.create(aUser())
      const second = yield* users.update(first.id, { fullName: "Ada" })

      const mismatch = yield* users.delete(first.id, { ifVersion: [first.version] }).pipe(
        Effect.flip,
      )
      assert.strictEqual(mismatch._tag, "VersionMismatch")
      assert.isTrue(Option.isSome(yield* users.getById(first.id)))

      yield* users.delete(first.id, { ifVersion: [first.version, second.version] })
      assert.isTrue(Option.isNone(yield* users.getById(first.id)))
    }))

  it.effect("in a version of a user who does not exist is UserNotFound", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { version } = yield* users.create(aUser())

      const error = yield* users.delete(aUserId(), { ifVersion: [version] }).pipe(Effect.flip)
      assert.strictEqual(error._tag, "UserNotFound")
    }))

  it.effect("of one user twice at once succeeds once", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { id } = yield* users.create(aUser())

      const exits = yield* Effect.all([
        Effect.exit(users.delete(id)),
        Effect.exit(users.delete(id)),
      ], {
        concurrency: "unbounded",
      })
      assert.lengthOf(exits.filter(Exit.isSuccess), 1)
    }))
})
