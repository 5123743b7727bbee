import { assert, layer } from "@effect/vitest"
import { DateTime, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../../src/domain/Email.ts"
import { LoginAttemptRepository } from "../../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { UserRepository } from "../../../src/repositories/users/UserRepository.ts"
import { anAttempt, anEmail, anIpAddress, aUser, aUserId } from "../../support/factories.ts"
import { aSavedAttempt, aSavedUser } from "../../support/saved.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

/** An address that no other test uses: a /64 in the range for documentation, a random host. */
const anUnusedAddress = () => {
  const groups = crypto.getRandomValues(new Uint16Array(4))
  return anIpAddress(`2001:db8:1:2:${Array.from(groups, (group) => group.toString(16)).join(":")}`)
}

const anUnusedIpv4 = () => {
  const [a, b, c] = crypto.getRandomValues(new Uint8Array(3))
  return `10.${a}.${b}.${c}`
}

/** Moves an attempt to this long before now, by the clock of the transaction, to the millisecond. */
const moveBack = (id: string, age: string) =>
  SqlClient.SqlClient.use((sql) =>
    sql`
      UPDATE login_attempts SET attempted_at = now() - ${age}::interval
      WHERE id = ${id}`
  )

/** In one transaction the database's clock stands still, so a window's ends can be hit exactly. */
const atOneInstant = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  SqlClient.SqlClient.use((sql) => sql.withTransaction(test))

layer(TestDatabase.layerRepositories)("LoginAttemptRepository.create", (it) => {
  it.effect("creates an attempt of a user", () =>
    Effect.gen(function* () {
      const { id: userId, email } = yield* aSavedUser()
      const attempt = yield* aSavedAttempt({
        userId,
        email,
        ipAddress: anIpAddress("::ffff:192.0.2.9"),
        userAgent: "curl/8",
        failureReason: "wrong password",
      })

      const { id: _, attemptedAt, ...rest } = attempt
      assert.deepStrictEqual({ ...rest }, {
        userId,
        email,
        ipAddress: anIpAddress("192.0.2.9"),
        userAgent: "curl/8",
        success: false,
        failureReason: "wrong password",
        pending: false,
      })
      assert.isTrue(DateTime.isDateTime(attemptedAt))
    }))

  it.effect("creates an attempt for an address that belongs to nobody", () =>
    Effect.gen(function* () {
      const attempt = yield* aSavedAttempt({ success: true })
      assert.isNull(attempt.userId)
      assert.isNull(attempt.userAgent)
      assert.isNull(attempt.failureReason)
      assert.isTrue(attempt.success)
    }))

  it.effect("for an unknown user is UserNotFound, and nothing is counted", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const input = anAttempt({ userId: aUserId() })

      const error = yield* attempts.create(input).pipe(Effect.flip)
      assert.strictEqual(error._tag, "UserNotFound")
      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email: input.email }), 0)
    }))
})

layer(TestDatabase.layerRepositories)("LoginAttemptRepository.countRecentFailures", (it) => {
  it.effect("is 0 without failures", () =>
    Effect.gen(function* () {
      const { id } = yield* aSavedUser()
      assert.strictEqual(yield* (yield* LoginAttemptRepository).countRecentFailures(id), 0)
    }))

  it.effect("counts the user's failures and nobody else's", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const { id: userId, email } = yield* aSavedUser()
      const { id: otherId } = yield* aSavedUser()
      yield* Effect.replicateEffect(aSavedAttempt({ userId, email }), 3)
      yield* aSavedAttempt({ userId: otherId })
      yield* aSavedAttempt({ email })

      assert.strictEqual(yield* attempts.countRecentFailures(userId), 3)
    }))

  it.effect("is not capped", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id, email } = yield* aSavedUser()
      yield* sql`
        INSERT INTO login_attempts (user_id, email, ip_address, success)
        SELECT ${id}, ${email}, '192.0.2.1', false FROM generate_series(1, 2500)`
      assert.strictEqual(yield* (yield* LoginAttemptRepository).countRecentFailures(id), 2_500)
    }))

  it.effect("does not count successes", () =>
    Effect.gen(function* () {
      const { id: userId } = yield* aSavedUser()
      yield* aSavedAttempt({ userId, success: true })
      yield* aSavedAttempt({ userId })
      yield* aSavedAttempt({ userId, success: true })

      assert.strictEqual(yield* (yield* LoginAttemptRepository).countRecentFailures(userId), 1)
    }))

  it.effect("does not count old failures; the window is 15 minutes by default", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const { id: userId } = yield* aSavedUser()
      const [old] = yield* Effect.replicateEffect(aSavedAttempt({ userId }), 2)
      yield* moveBack(old?.id ?? "", "16 minutes")

      assert.strictEqual(yield* attempts.countRecentFailures(userId), 1)
      assert.strictEqual(yield* attempts.countRecentFailures(userId, 17), 2)
      assert.strictEqual(yield* attempts.countRecentFailures(userId, 43_200), 2)
    }))

  it.effect("is exact at the beginning of the window", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const { id: userId } = yield* aSavedUser()
      const { id } = yield* aSavedAttempt({ userId })

      yield* moveBack(id, "10 minutes")
      assert.strictEqual(yield* attempts.countRecentFailures(userId, 10), 1)
      yield* moveBack(id, "10 minutes 1 millisecond")
      assert.strictEqual(yield* attempts.countRecentFailures(userId, 10), 0)
    }).pipe(atOneInstant))

  it.effect("is exact at the end of the window", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const { id: userId } = yield* aSavedUser()
      const { id } = yield* aSavedAttempt({ userId })

      assert.strictEqual(yield* attempts.countRecentFailures(userId, 10), 1)
      yield* moveBack(id, "0")
      assert.strictEqual(yield* attempts.countRecentFailures(userId, 10), 1)
      yield* moveBack(id, "-1 millisecond")
      assert.strictEqual(yield* attempts.countRecentFailures(userId, 10), 0)
    }).pipe(atOneInstant))

  it.effect("of an unknown user is UserNotFound", () =>
    Effect.gen(function* () {
      const error = yield* (yield* LoginAttemptRepository).countRecentFailures(aUserId()).pipe(
        Effect.flip,
      )
      assert.strictEqual(error._tag, "UserNotFound")
    }))

  it.effect("starts at 0 for a new account, while the address keeps its history", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const users = yield* UserRepository
      const { id, email } = yield* aSavedUser()
      const { id: attemptId } = yield* aSavedAttempt({ userId: id, email })
      yield* users.delete(id)

      const sql = yield* SqlClient.SqlClient
      const rows = yield* sql`
        SELECT user_id AS "userId", email FROM login_attempts WHERE id = ${attemptId}`
      assert.deepStrictEqual(rows, [{ userId: null, email }])
      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email }), 1)

      const again = yield* users.create(aUser({ email }), { idempotencyKey: id })
      assert.strictEqual(again.id, id)
      assert.strictEqual(yield* attempts.countRecentFailures(id), 0)
      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email }), 1)
    }))
})

layer(TestDatabase.layerRepositories)("LoginAttemptRepository.countRecentFailuresFrom", (it) => {
  it.effect("counts by e-mail address, in whatever case", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const email = anEmail()
      const inCapitals = Email.make(email.toUpperCase())
      yield* aSavedAttempt({ email })
      yield* aSavedAttempt({ email: inCapitals })
      yield* aSavedAttempt()

      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email }), 2)
      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email: inCapitals }), 2)
      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email: anEmail() }), 0)
    }))

  it.effect("counts under exactly the address given", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const suffix = anEmail()
      const addresses = ["a+b", "a%2Bb", "a/b", "o'b", "50%", "what?", "n#1", "a_b", "a%b"]
        .map((name) => Email.make(`${name}.${suffix}`))
      yield* Effect.forEach(addresses, (email) => aSavedAttempt({ email }))

      const counts = yield* Effect.forEach(
        addresses,
        (email) => attempts.countRecentFailuresFrom({ email }),
      )
      assert.deepStrictEqual(counts, addresses.map(() => 1))
    }))

  it.effect("counts by IP address", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const ipAddress = anUnusedAddress()
      yield* aSavedAttempt({ ipAddress })
      yield* aSavedAttempt({ ipAddress, success: true })
      yield* aSavedAttempt({ ipAddress: anUnusedAddress() })

      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ ipAddress }), 1)
    }))

  it.effect("takes an IPv4-mapped IPv6 address for the IPv4 address", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const plain = anUnusedIpv4()
      const spellings = [plain, `::ffff:${plain}`, `::FFFF:${plain}`, `0:0:0:0:0:ffff:${plain}`]
      yield* Effect.forEach(
        spellings,
        (spelling) => aSavedAttempt({ ipAddress: anIpAddress(spelling) }),
      )

      for (const spelling of spellings) {
        const ipAddress = anIpAddress(spelling)
        assert.strictEqual(yield* attempts.countRecentFailuresFrom({ ipAddress }), 4)
      }
    }))

  it.effect("narrows by both at once", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const [email, ipAddress] = [anEmail(), anUnusedAddress()]
      yield* aSavedAttempt({ email, ipAddress })
      yield* aSavedAttempt({ email })
      yield* aSavedAttempt({ ipAddress })

      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email, ipAddress }), 1)
      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email }), 2)
      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ ipAddress }), 2)
    }))

  it.effect("counts neither successes nor old failures, and is exact at both ends", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const [email, ipAddress] = [anEmail(), anUnusedAddress()]
      yield* aSavedAttempt({ email, ipAddress, success: true })
      const ages = ["5 minutes 1 millisecond", "5 minutes", "0", "-1 millisecond"]
      for (const age of ages) {
        const { id } = yield* aSavedAttempt({ email, ipAddress })
        yield* moveBack(id, age)
      }

      for (const origin of [{ email }, { ipAddress }, { email, ipAddress }]) {
        assert.strictEqual(yield* attempts.countRecentFailuresFrom(origin, 5), 2)
      }
    }).pipe(atOneInstant))
})
