/**
 * Which of the attempts that begin together may begin, and what those are told that may not.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../../src/domain/Email.ts"
import type { AttemptToBegin, FailureLimit, LimitBy } from "../../../src/domain/LoginAttempt.ts"
import { LoginAttemptRepository } from "../../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { outcomes, tagsOf } from "../../support/atOnce.ts"
import { anAttemptToBegin, anEmail, anIpAddress } from "../../support/factories.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const limit = (by: LimitBy, failures = 3): FailureLimit => ({ by, failures, minutes: 15 })

/** A host that no other test has. */
const aHost = () => anIpAddress(`2001:db8:${crypto.randomUUID().slice(9, 18).replace("-", ":")}::1`)

const begin = (attempt: AttemptToBegin) =>
  LoginAttemptRepository.use((attempts) => attempts.begin(attempt))

/** Begins one after the other; gives what became of each. */
const inTurn = (attempts: ReadonlyArray<AttemptToBegin>) =>
  Effect.map(
    Effect.forEach(attempts, (attempt) => outcomes([begin(attempt)])),
    (results) => tagsOf(results.flat()),
  )

/** Failures of an address so many seconds ago. */
const failed = Effect.fnUntraced(function* (
  { email, ipAddress }: AttemptToBegin,
  seconds: ReadonlyArray<number>,
) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO login_attempts (email, ip_address, success, attempted_at)
    SELECT ${email}, ${ipAddress}::inet, false, now() - seconds * interval '1 second'
    FROM unnest(${[...seconds]}::int[]) AS seconds`
})

layer(TestDatabase.layerRepositories, { excludeTestServices: true })("limits", (it) => {
  it.effect.each<[string, string, string]>([
    ["198.18.1.1", "198.18.1.254", "198.18.2.1"],
    ["2001:db8::1", "2001:db8:0:0:ffff::1", "2001:db8:0:1::1"],
  ])(
    "by network count 24 bits of IPv4 and 64 of IPv6: %s, %s, %s",
    ([host, near, far]) =>
      Effect.gen(function* () {
        const from = (address: string) =>
          anAttemptToBegin({ ipAddress: anIpAddress(address), limits: [limit("ipPrefix", 1)] })
        assert.deepStrictEqual(
          yield* inTurn([from(host), from(near), from(far)]),
          ["done", "TooManyFailures", "done"],
        )
      }),
  )

  it.effect.each(["email", "emailAndIpAddress"] as const)(
    "by %s do not tell the case of an address",
    (by) =>
      Effect.gen(function* () {
        const attempt = anAttemptToBegin({ limits: [limit(by, 1)] })
        const upper = { ...attempt, email: Email.make(attempt.email.toUpperCase()) }
        assert.deepStrictEqual(yield* inTurn([attempt, upper]), ["done", "TooManyFailures"])
      }),
  )

  it.effect("count those that begin without a limit of their own against the others", () =>
    Effect.gen(function* () {
      const limited = anAttemptToBegin({ limits: [limit("email", 1)] })
      const free = { ...limited, limits: [] }
      assert.deepStrictEqual(
        yield* inTurn([free, limited, free]),
        ["done", "TooManyFailures", "done"],
      )
    }))

  it.effect("count nobody who was refused", () =>
    Effect.gen(function* () {
      const attempt = anAttemptToBegin({
        ipAddress: aHost(),
        limits: [limit("email", 1), limit("ipAddress", 2)],
      })
      const other = { ...attempt, email: anEmail() }
      assert.deepStrictEqual(
        yield* inTurn([attempt, attempt, attempt, other, { ...other, email: anEmail() }]),
        ["done", "TooManyFailures", "TooManyFailures", "done", "TooManyFailures"],
      )
    }))

  it.effect("keep apart what nobody counts together", () =>
    Effect.gen(function* () {
      const ipAddress = aHost()
      const attempts = Array.from({ length: 5 }, () =>
        anAttemptToBegin({ ipAddress, limits: [limit("email", 1), limit("emailAndIpAddress", 1)] }))
      assert.deepStrictEqual(
        yield* inTurn(attempts),
        attempts.map(() =>
          "done"
        ),
      )
    }))

  it.effect.each([
    // Of five failures the third, from the newest, has to leave.
    { seconds: [10, 20, 30, 40, 50], failures: 3, count: 5, retryAfter: 870 },
    { seconds: [100, 200, 800], failures: 3, count: 3, retryAfter: 100 },
    // A thousand beyond a limit are counted.
    {
      seconds: Array.from({ length: 1_500 }, () => 60),
      failures: 2,
      count: 1_002,
      retryAfter: 840,
    },
  ])(
    "tell when enough failures have left the window: %j",
    ({ seconds, failures, count, retryAfter }) =>
      Effect.gen(function* () {
        const attempt = anAttemptToBegin({ limits: [limit("email", failures)] })
        yield* failed(attempt, seconds)
        const refused = yield* Effect.flip(begin(attempt))
        assert(refused._tag === "TooManyFailures")
        const [told] = refused.limits
        assert(told !== undefined)
        const { retryAfter: seen, ...rest } = told
        assert.deepStrictEqual(rest, { by: "email", failures, count })
        // What passes between the statements is no longer to be waited for.
        assert.isAtMost(seen, retryAfter)
        assert.isAtLeast(seen, 1)
      }),
  )
})
