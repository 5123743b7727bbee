import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { UserId } from "../../src/domain/User.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { atOnce } from "../support/atOnce.ts"
import { anAttempt, anAttemptToBegin, aSuccessor, aToken, aUser } from "../support/factories.ts"
import {
  email,
  fill,
  googleId,
  tokenHash,
  unqualifiedNames,
  userId,
  wholeTableReads,
} from "../support/plans.ts"
import { Statements } from "../support/Statements.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** The numbers of users in the data. */
const numbers = Array.from({ length: 20 }, (_, i) => 100 + 7 * i)

const success = (id: UserId) => ({ success: true, failureReason: null, refreshToken: aToken(id) })

/** Every method whose calls are made together when they arrive together. */
const calls = Effect.gen(function* () {
  const users = yield* UserRepository
  const tokens = yield* RefreshTokenRepository
  const attempts = yield* LoginAttemptRepository
  const all: Readonly<Record<string, (number: number) => Effect.Effect<unknown, unknown>>> = {
    "users.getById": (number) => users.getById(userId(number)),
    "users.getByEmail": (number) => users.getByEmail(email(number)),
    "users.getByGoogleId": (number) => users.getByGoogleId(googleId(number)),
    "users.create": () => users.create(aUser()),
    "tokens.getByTokenHash": (number) => tokens.getByTokenHash(tokenHash(number)),
    "tokens.getValidByTokenHash": (number) => tokens.getValidByTokenHash(tokenHash(number)),
    "tokens.getValidWithUser": (number) => tokens.getValidWithUser(tokenHash(number)),
    "tokens.create": (number) => tokens.create(aToken(userId(number))),
    "tokens.revoke": (number) => tokens.revoke(tokenHash(number)),
    "tokens.rotate": (number) => tokens.rotate(tokenHash(number), aSuccessor()),
    "tokens.rotateWithUser": (number) => tokens.rotateWithUser(tokenHash(number), aSuccessor()),
    "attempts.create": (number) => attempts.create(anAttempt({ userId: userId(number) })),
    "attempts.complete": (number) =>
      Effect.flatMap(
        attempts.begin(anAttemptToBegin({ email: email(number) })),
        ({ attempt: { id } }) => attempts.complete(id, success(userId(number))),
      ),
    "attempts.countRecentFailures": (number) => attempts.countRecentFailures(userId(number)),
  }
  return Object.entries(all)
})

/** The statements, each text once, of twenty calls at once: those alone and those in groups. */
const statementsOf = Effect.fnUntraced(function* (
  name: string,
  call: (number: number) => Effect.Effect<unknown, unknown>,
) {
  const { sent } = yield* Statements
  const [statements] = yield* sent(atOnce(numbers.map((number) => Effect.exit(call(number)))))
  const texts = new Map(statements.map((statement) => [statement[0], statement]))
  assert.isAtLeast(texts.size, 2, `${name}: one for those alone, one for groups`)
  return texts.values()
})

// So few that PostgreSQL would rather read a table whole than look up as many rows as it expects of a
// group, if nothing told it otherwise.
layer(TestDatabase.layerRepositories.pipe(Layer.provideMerge(Statements.layer)), {
  excludeTestServices: true,
})("on tables of ten thousand rows", (it) => {
  it.effect("no statement of a group reads a whole table", () =>
    Effect.gen(function* () {
      yield* fill(10_000)
      const offenders: Array<string> = []
      for (const [name, call] of yield* calls) {
        offenders.push(...yield* wholeTableReads(name, yield* statementsOf(name, call)))
      }
      assert.deepStrictEqual(offenders, [])
    }), 60_000)

  it.effect("every statement of a group names the schema of its tables and types", () =>
    Effect.gen(function* () {
      const offenders: Array<string> = []
      for (const [name, call] of yield* calls) {
        offenders.push(...yield* unqualifiedNames(name, yield* statementsOf(name, call)))
      }
      assert.deepStrictEqual(offenders, [])
    }))
})
