/**
 * Attempts that begin at once against a limit of five: as many begin as the limit leaves, on one service
 * and on two, in groups and each in a transaction of its own.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { IpAddress } from "../../../src/domain/IpAddress.ts"
import type { AttemptToBegin, LimitBy } from "../../../src/domain/LoginAttempt.ts"
import { atOnce, outcomes, tagsOf } from "../../support/atOnce.ts"
import { type Service, serviceWith } from "../../support/elsewhere.ts"
import { anAttemptId, anAttemptToBegin, anEmail, anIpAddress } from "../../support/factories.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const forty = Array.from({ length: 40 }, (_, index) => index)
const rounds = Array.from({ length: 5 }, (_, index) => index)

/** A network that no other round uses, and a host of it. */
let networks = 0
const aNetwork = () => {
  const network = ++networks
  return (host: number): IpAddress => anIpAddress(`10.${network >> 8}.${network & 255}.${host}`)
}

/** Forty attempts that one counter counts together, whatever else they have of their own. */
const attempts = (by: LimitBy): ReadonlyArray<AttemptToBegin> => {
  const network = aNetwork()
  const email = anEmail()
  const limits = [{ by, failures: 5, minutes: 15 }]
  return forty.map((index) =>
    anAttemptToBegin({
      limits,
      email: by === "email" || by === "emailAndIpAddress" ? email : anEmail(),
      ipAddress: by === "email"
        ? anIpAddress(`172.16.0.${index}`)
        : network(by === "ipPrefix" ? index : 1),
    })
  )
}

const begin = (attempt: AttemptToBegin, isGrouped: boolean) => ({ attempts }: Service) =>
  attempts.begin(attempt, isGrouped ? {} : { idempotencyKey: anAttemptId() })

layer(TestDatabase.layerRepositories, { excludeTestServices: true })(
  "of forty attempts at once, five begin",
  (it) => {
    for (const services of [1, 2]) {
      for (const isGrouped of [true, false]) {
        it.effect.each(["email", "ipAddress", "ipPrefix", "emailAndIpAddress"] as const)(
          `by %s, on ${services} ${services === 1 ? "service" : "services"}, ${
            isGrouped ? "in groups" : "alone"
          }`,
          (by) =>
            Effect.gen(function* () {
              const all = yield* Effect.replicateEffect(serviceWith(10), services)
              for (const _ of rounds) {
                const tags = tagsOf(
                  yield* outcomes(
                    attempts(by).map((attempt, index) => {
                      const service = all[index % services] ?? assert.fail("A service")
                      return begin(attempt, isGrouped)(service)
                    }),
                  ),
                )
                assert.deepStrictEqual(
                  tags.toSorted(),
                  [...Array(35).fill("TooManyFailures"), ...Array(5).fill("done")],
                )
              }
            }).pipe(Effect.scoped),
        )
      }
    }

    it.effect("with one key against a limit of one, all are the same, on two services", () =>
      Effect.gen(function* () {
        const services = [yield* serviceWith(10), yield* serviceWith(10)]
        for (const _ of rounds) {
          const idempotencyKey = anAttemptId()
          const attempt = anAttemptToBegin({
            ipAddress: aNetwork()(1),
            limits: [{ by: "ipAddress", failures: 1, minutes: 15 }],
          })
          const begun = yield* atOnce(
            forty.map((index) =>
              (services[index % 2] ?? assert.fail("A service")).attempts.begin(attempt, {
                idempotencyKey,
              })
            ),
          )
          assert.deepStrictEqual(
            new Set(begun.map(({ attempt: { id }, counts }) => `${id} ${counts[0]?.count}`)),
            new Set([`${idempotencyKey} 0`]),
          )
        }
      }).pipe(Effect.scoped))

    it.effect("by one limit each, of four kinds, on two services", () =>
      Effect.gen(function* () {
        const services = [yield* serviceWith(10), yield* serviceWith(10)]
        const kinds = ["email", "ipAddress", "ipPrefix", "emailAndIpAddress"] as const
        for (const _ of rounds) {
          const [email, ipAddress] = [anEmail(), aNetwork()(1)]
          const results = yield* outcomes(forty.map((index) => {
            const by = kinds[index % 4] ?? "email"
            const attempt = anAttemptToBegin({
              email,
              ipAddress,
              limits: [{ by, failures: 5, minutes: 15 }],
            })
            const service = services[index >> 2 & 1] ?? assert.fail("A service")
            return begin(attempt, index % 3 === 0)(service)
          }))
          assert.lengthOf(tagsOf(results).filter((tag) => tag === "done"), 5)
        }
      }).pipe(Effect.scoped))

    it.effect("by any of four limits, whichever is reached first, on two services", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* serviceWith(10), yield* serviceWith(10)]
        const network = aNetwork()
        const limits = (["email", "ipAddress", "ipPrefix", "emailAndIpAddress"] as const).map((
          by,
        ) => ({
          by,
          failures: by === "ipPrefix" ? 7 : 5,
          minutes: 15,
        }))
        const emails = forty.slice(0, 8).map(() => anEmail())
        const results = yield* outcomes(forty.map((index) => {
          const attempt = anAttemptToBegin({
            limits,
            email: emails[index % 8] ?? anEmail(),
            ipAddress: network(index % 2),
          })
          return begin(attempt, index % 3 > 0)(index % 2 === 0 ? one : two)
        }))
        assert.lengthOf(tagsOf(results).filter((tag) => tag === "done"), 7)
      }).pipe(Effect.scoped))
  },
)
