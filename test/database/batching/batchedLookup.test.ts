import { assert, layer } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../../src/domain/Email.ts"
import { GoogleId } from "../../../src/domain/User.ts"
import { RefreshTokenRepository } from "../../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../../src/repositories/users/UserRepository.ts"
import { atOnce, few } from "../../support/atOnce.ts"
import {
  aGoogleId,
  aGoogleUser,
  anEmail,
  aTokenHash,
  aUser,
  aUserId,
} from "../../support/factories.ts"
import { aSavedToken, aSavedUser } from "../../support/saved.ts"
import { Statements } from "../../support/Statements.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const Repositories = TestDatabase.layerRepositories.pipe(Layer.provideMerge(Statements.layer))

const several = Array.from({ length: 20 })

layer(Repositories)("look-ups at once", (it) => {
  it.effect("are a few statements, and give each caller its own row or none", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { counted } = yield* Statements
      const saved = yield* Effect.forEach(several, () => aSavedUser())

      const [statements, found] = yield* counted(
        atOnce(saved.flatMap(({ id }) => [users.getById(id), users.getById(aUserId())])),
      )
      assert.deepStrictEqual(found, saved.flatMap((user) => [Option.some(user), Option.none()]))
      assert.isAtMost(statements, few)
    }))

  it.effect("by address find a user in any case, and the same one for each who asks", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { counted } = yield* Statements
      const saved = yield* Effect.forEach(
        several,
        () => aSavedUser({ email: Email.make(`Ada.${anEmail()}`) }),
      )
      const spellings = saved.flatMap(({ email }) => [
        email,
        Email.make(email.toLowerCase()),
        email,
        Email.make(email.toUpperCase()),
        anEmail(),
      ])

      const [statements, found] = yield* counted(atOnce(spellings.map(users.getByEmail)))
      assert.deepStrictEqual(
        found,
        saved.flatMap((user) => [user, user, user, user, undefined].map(Option.fromUndefinedOr)),
      )
      assert.isAtMost(statements, few)
    }))

  it.effect("by Google id tell two apart that differ only in case", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const { counted } = yield* Statements
      const googleId = aGoogleId()
      const inCapitals = GoogleId.make(googleId.toUpperCase())
      const small = yield* users.create(aGoogleUser({ googleId }))
      const capital = yield* users.create(aGoogleUser({ googleId: inCapitals }))
      const ids = several.flatMap(() => [googleId, inCapitals, aGoogleId()])

      const [statements, found] = yield* counted(atOnce(ids.map(users.getByGoogleId)))
      assert.deepStrictEqual(
        found,
        several.flatMap(() => [Option.some(small), Option.some(capital), Option.none()]),
      )
      assert.isAtMost(statements, few)
    }))

  it.effect("of tokens, valid or in any state, share statements", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { counted } = yield* Statements
      const valid = yield* Effect.forEach(several, () => aSavedToken())
      const revoked = yield* Effect.forEach(
        yield* Effect.forEach(several, () => aSavedToken()),
        ({ tokenHash }) => tokens.revoke(tokenHash),
      )

      const [statements, found] = yield* counted(atOnce([
        ...[...valid, ...revoked].map(({ tokenHash }) => tokens.getValidByTokenHash(tokenHash)),
        ...[...valid, ...revoked].map(({ tokenHash }) => tokens.getByTokenHash(tokenHash)),
        tokens.getByTokenHash(aTokenHash()),
      ]))
      assert.deepStrictEqual(found, [
        ...valid.map(Option.some),
        ...revoked.map(() => Option.none()),
        ...valid.map(Option.some),
        ...revoked.map(Option.some),
        Option.none(),
      ])
      assert.isAtMost(statements, few)
    }))

  it.effect("see all that was written before they were made", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      // Each client looks for its row as soon as it is there, while the others' look-ups go on.
      const found = yield* atOnce(several.map(() =>
        Effect.forEach(several, () =>
          Effect.gen(function* () {
            const user = yield* users.create(aUser())
            const byId = yield* users.getById(user.id)
            yield* users.delete(user.id)
            return [Option.isSome(byId), Option.isSome(yield* users.getById(user.id))]
          }))
      ))
      assert.lengthOf(found.flat(), 400)
      for (const [whileThere, afterwards] of found.flat()) {
        assert.isTrue(whileThere)
        assert.isFalse(afterwards)
      }
    }))

  it.effect("in a transaction see what only the transaction has written", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const users = yield* UserRepository
      const others = yield* Effect.forEach(several, () => aSavedUser())
      const inTransaction = sql.withTransaction(Effect.gen(function* () {
        const user = yield* users.create(aUser())
        const found = yield* atOnce(several.map(() => users.getById(user.id)))
        yield* sql`DELETE FROM users WHERE id = ${user.id}`
        return { user, found }
      }))
      const [{ user, found }] = yield* Effect.all(
        [inTransaction, atOnce(others.map(({ id }) => users.getById(id)))],
        { concurrency: "unbounded" },
      )
      assert.deepStrictEqual(found, several.map(() => Option.some(user)))
    }))
})

layer(Repositories)("a row that is not what it should be", (it) => {
  it.effect("spoils only the look-up of itself", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const users = yield* UserRepository
      const { counted } = yield* Statements
      yield* sql`ALTER TYPE auth_provider_enum ADD VALUE 'github'`
      yield* sql`ALTER TABLE users DROP CONSTRAINT users_auth_provider_check`
      const strange = [anEmail(), anEmail()]
      for (const email of strange) {
        yield* sql`INSERT INTO users (email, auth_provider) VALUES (${email}, 'github')`
      }
      const saved = yield* Effect.forEach(several, () => aSavedUser())
      const emails = saved.map(({ email }) => email)

      const [statements, found] = yield* counted(atOnce(
        [...emails, ...strange, anEmail()].map((email) => Effect.exit(users.getByEmail(email))),
      ))
      assert.deepStrictEqual(
        found.slice(0, -3),
        saved.map((user) => Exit.succeed(Option.some(user))),
      )
      assert.deepStrictEqual(found.at(-1), Exit.succeed(Option.none()))
      for (const exit of found.slice(-3, -1)) {
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.match(String(defect), /see authProvider$/)
      }
      // Those that were together with the strange ones had to be made again.
      assert.isAbove(statements, few)
    }))
})
