/**
 * A small load of calls under which something is broken and mended, and what must hold after it.
 */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import type { Call, Client, Outcome } from "./Client.ts"
import type { Journey } from "./Ledger.ts"

export interface LoadOptions {
  readonly client: Client
  /** Where the service listens; several are replicas. */
  readonly ports: () => ReadonlyArray<number>
  /**
   * What a caller sees while the fault is there. With `unavailable` it repeats each call until it is
   * answered, as a good client does; with `nothing` only what nobody took is sent again, elsewhere.
   */
  readonly tolerates: "unavailable" | "nothing"
}

export interface Report {
  /** All of the calls of these were acknowledged. */
  readonly journeys: ReadonlyArray<Journey>
  readonly acknowledged: number
  readonly unavailable: number
  readonly lost: number
  /** What no client should ever see. */
  readonly violations: ReadonlyArray<string>
}

/** How far the load is. A fault lasts until it was noticed, not for so many seconds. */
export interface Progress {
  /** Waits until so many more calls were acknowledged. */
  readonly untilAcknowledged: (calls: number) => Effect.Effect<void>
  /** Waits until so many more answers said that the service is unavailable. */
  readonly untilUnavailable: (answers: number) => Effect.Effect<void>
}

export const workers = 6
const wanted = 300
const wantedAround = 60

const unavailableProblem = /^https:\/\/latchkey\.dev\/problems\/(database-unavailable|overloaded)$/

/** What is wrong with an outcome, if anything. */
const violationOf = ({ method, path }: Call, expected: number, outcome: Outcome) => {
  if (outcome._tag !== "Answered") return undefined
  const { status, headers, json } = outcome.answer
  if (status === expected) return undefined
  if (status !== 503) return `${method} ${path}: ${status} ${JSON.stringify(json)}`
  if (!unavailableProblem.test(String(json["type"]))) return `503 of type ${json["type"]}`
  return Number(headers["retry-after"]) > 0 ? undefined : "503 without Retry-After"
}

const isReady = (outcome: Outcome) => outcome._tag === "Answered" && outcome.answer.status === 200

/**
 * Looks at `/readyz` until it is 200, as it must be soon by itself: in five seconds, or in as many
 * looks where everything takes longer.
 */
export const untilReady = Effect.fnUntraced(function* (client: Client, port: number) {
  const outcome = yield* client(port, { method: "GET", path: "/readyz" }).pipe(
    Effect.repeat({ until: isReady, times: 100, schedule: Schedule.spaced("50 millis") }),
  )
  assert.isTrue(isReady(outcome), `Still not ready: ${JSON.stringify(outcome)}`)
})

/** Runs the load, and the fault in the midst of it. */
export const underLoad = Effect.fnUntraced(
  function* <R>(
    { client, ports, tolerates }: LoadOptions,
    fault: (progress: Progress) => Effect.Effect<void, never, R>,
  ) {
    const run = crypto.randomUUID().slice(0, 8)
    const journeys: Array<Journey> = []
    const violations: Array<string> = []
    let acknowledged = 0
    let unavailable = 0
    let lost = 0
    let stopping = false
    let turn = 0

    /** Sends a call until it is acknowledged. */
    const send = Effect.fnUntraced(function* (call: Call, expected: number) {
      while (true) {
        const replicas = ports()
        const outcome = yield* client(replicas[turn++ % replicas.length] ?? 0, call)
        const violation = violationOf(call, expected, outcome)
        if (violation !== undefined) violations.push(violation)
        if (outcome._tag === "Answered" && outcome.answer.status === 503) unavailable++
        if (outcome._tag === "Lost") lost++
        const failed = outcome._tag === "Lost" ||
          (outcome._tag === "Answered" && outcome.answer.status !== expected)
        if (failed && tolerates === "nothing") {
          violations.push(`${call.method} ${call.path} failed: ${JSON.stringify(outcome)}`)
        }
        if (violation !== undefined) return yield* Effect.interrupt
        if (outcome._tag === "Answered" && outcome.answer.status === expected) {
          acknowledged++
          return yield* Effect.sleep("5 millis")
        }
        yield* Effect.sleep("50 millis")
      }
    })

    const create = (path: string, id: string, json: object) =>
      send({ method: "POST", path, json, headers: { "idempotency-key": id } }, 201)

    const journey = Effect.fnUntraced(function* (signsOut: boolean) {
      const [userId, first, other, successor, attempt] = Array.from(
        { length: 5 },
        () => crypto.randomUUID(),
      ) as [string, string, string, string, string]
      const email = `${run}-${userId}@example.com`
      const expiresAt = "2099-01-01T00:00:00Z"
      const tokens = "/v1/refresh-tokens"
      yield* create("/v1/users", userId, { email, authProvider: "email", passwordHash: "hash" })
      yield* create(tokens, first, { userId, tokenHash: first, expiresAt })
      yield* create(tokens, other, { userId, tokenHash: other, expiresAt })
      yield* create(`${tokens}/${first}/rotate`, successor, { tokenHash: successor, expiresAt })
      yield* send({ method: "POST", path: `${tokens}/${other}/revoke` }, 200)
      yield* create("/v1/login-attempts", attempt, {
        userId,
        email,
        ipAddress: "192.0.2.1",
        success: false,
      })
      if (signsOut) {
        yield* send({ method: "POST", path: `/v1/users/${userId}/refresh-tokens/revoke` }, 200)
      }
      journeys.push({ userId, email, first, other, successor, attempt, signedOut: signsOut })
    })

    const worker = Effect.gen(function* () {
      let number = 0
      while (!stopping) yield* journey(number++ % 3 === 0)
    })

    const until = (isSo: () => boolean) =>
      Effect.asVoid(Effect.repeat(Effect.sync(() => isSo() || violations.length > 0), {
        until: (is) => is,
        schedule: Schedule.spaced("10 millis"),
      }))

    const progress: Progress = {
      untilAcknowledged: (calls) =>
        Effect.suspend(() => {
          const before = acknowledged
          return until(() => acknowledged >= before + calls)
        }),
      untilUnavailable: (answers) =>
        Effect.suspend(() => {
          const before = unavailable
          return until(() => unavailable >= before + answers)
        }),
    }

    const fibers = yield* Effect.forEach(Array(workers), () => Effect.forkChild(worker))
    yield* until(() => acknowledged >= wantedAround)
    yield* fault(progress)
    const before = acknowledged
    yield* untilReady(client, ports()[0] ?? 0)
    yield* until(() => acknowledged >= Math.max(wanted, before + wantedAround))
    stopping = true
    yield* Effect.forEach(fibers, (fiber) => Fiber.await(fiber))
    const report: Report = { journeys, acknowledged, unavailable, lost, violations }
    return report
  },
  Effect.timeout("5 minutes"),
  Effect.orDie,
)
