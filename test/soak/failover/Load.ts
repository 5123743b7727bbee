/**
 * Users who sign up, refresh and sign out, and others who look whether tokens are valid, by clients that
 * repeat each call with its key until it is answered; and what became of all that.
 */
import { Effect, Fiber } from "effect"
import type { Call, Client, Outcome } from "../../faults/support/Client.ts"
import type { Journey } from "../../faults/support/Ledger.ts"
import type { Failure } from "./Failure.ts"
import { until } from "./Machine.ts"

const writers = 6
const readers = 4

/** Every second worker hangs up after this time, and repeats the call; the others wait for any answer. */
const patience = "2 seconds"

/** How long a worker rests after an answer that it wanted, and before it repeats a call. */
const rest = { answered: "25 millis", refused: "100 millis" } as const

/** The longest time from one success to the next, in milliseconds. */
class Gap {
  private last = performance.now()
  private longest = 0

  succeeded() {
    const now = performance.now()
    this.longest = Math.max(this.longest, now - this.last)
    this.last = now
  }

  get seconds() {
    return this.longest / 1000
  }
}

/** What the callers saw while the load ran. */
export interface Seen {
  /** How often there was each status, with the name of its problem if it is 503. */
  readonly answers: ReadonlyMap<string, number>
  /** The longest time without a write that was acknowledged, and without a read that was answered. */
  readonly noWrite: number
  readonly noRead: number
  /** The slowest answer, in seconds. */
  readonly slowest: number
  /** Answers that must never be. */
  readonly violations: ReadonlyArray<string>
  /** All that was acknowledged. */
  readonly journeys: ReadonlyArray<Journey>
}

export interface Load {
  /** Waits until each service has acknowledged so many more writes. */
  readonly untilAcknowledged: (writes: number) => Effect.Effect<void, Failure>
  /** Waits until so many more calls were refused. */
  readonly untilRefused: (calls: number) => Effect.Effect<void, Failure>
  /** Lets the workers finish what they have begun. */
  readonly stop: Effect.Effect<Seen, Failure>
}

/** As `answers` counts it. */
const nameOf = (outcome: Outcome) => {
  if (outcome._tag !== "Answered") return outcome._tag === "Lost" ? "lost" : "not connected"
  const { status, json } = outcome.answer
  return status === 503 ? `503 ${String(json["type"]).replace(/.*\//, "")}` : String(status)
}

const tokens = "/v1/refresh-tokens"
const expiresAt = "2099-01-01T00:00:00Z"

const create = (path: string, id: string, json: object): Call => ({
  method: "POST",
  path,
  json,
  headers: { "idempotency-key": id },
})

/** The calls of a user that make something, each with a key. */
export const creations = ({ userId, email, first, other, successor, attempt }: Journey) => ({
  signUp: create("/v1/users", userId, { email, authProvider: "email", passwordHash: "hash" }),
  first: create(tokens, first, { userId, tokenHash: first, expiresAt }),
  other: create(tokens, other, { userId, tokenHash: other, expiresAt }),
  rotation: create(`${tokens}/${first}/rotate`, successor, { tokenHash: successor, expiresAt }),
  attempt: create("/v1/login-attempts", attempt, {
    userId,
    email,
    ipAddress: "192.0.2.1",
    success: false,
  }),
})

/** Whether each token is valid after the user's last call, by what `/valid` answers. */
export const validityOf = ({ first, other, successor, signedOut }: Journey) =>
  [[first, 404], [other, 404], [successor, signedOut ? 404 : 200]] as const

export const isValid = (tokenHash: string): Call => ({
  method: "GET",
  path: `${tokens}/${tokenHash}/valid`,
})

const newJourney = (run: string, signedOut: boolean): Journey => {
  const [userId, first, other, successor, attempt] = Array.from(
    { length: 5 },
    () => crypto.randomUUID(),
  ) as [string, string, string, string, string]
  const email = `${run}-${userId}@example.com`
  return { userId, email, first, other, successor, attempt, signedOut }
}

/** The books of a load. */
class Books {
  readonly answers = new Map<string, number>()
  readonly violations: Array<string> = []
  readonly journeys: Array<Journey> = []
  readonly acknowledged = new Map<number, number>()
  readonly writes = new Gap()
  readonly reads = new Gap()
  refused = 0
  slowest = 0

  note(outcome: Outcome, startedAt: number) {
    const name = nameOf(outcome)
    this.answers.set(name, (this.answers.get(name) ?? 0) + 1)
    this.slowest = Math.max(this.slowest, (performance.now() - startedAt) / 1000)
  }

  /** Whether the call has to be repeated; an answer that must not be is written down. */
  isRefused({ method, path }: Call, expected: number, outcome: Outcome) {
    if (outcome._tag !== "Answered") return true
    const { status, text } = outcome.answer
    if (status === 503) return true
    if (status !== expected) {
      this.violations.push(`${method} ${path}: ${status} instead of ${expected}: ${text}`)
    }
    return false
  }
}

const hungUp: Outcome = { _tag: "Lost", code: "hung up" }

const impatiently = Effect.timeoutOrElse({
  duration: patience,
  orElse: () => Effect.succeed(hungUp),
})

/** Starts workers that take turns with the services; `run` begins each address. */
export const start = Effect.fnUntraced(function* (
  client: Client,
  ports: ReadonlyArray<number>,
  run: string,
) {
  const books = new Books()
  let stopping = false
  let turn = 0

  /** Sends a call until it is answered otherwise than by a refusal. */
  const send = Effect.fnUntraced(function* (isPatient: boolean, call: Call, expected: number) {
    const isWrite = call.method !== "GET"
    while (true) {
      const port = ports[turn++ % ports.length] ?? 0
      const startedAt = performance.now()
      const outcome = yield* isPatient ? client(port, call) : impatiently(client(port, call))
      books.note(outcome, startedAt)
      if (!books.isRefused(call, expected, outcome)) {
        const gap = isWrite ? books.writes : books.reads
        gap.succeeded()
        if (isWrite) books.acknowledged.set(port, (books.acknowledged.get(port) ?? 0) + 1)
        return yield* Effect.sleep(rest.answered)
      }
      books.refused++
      yield* Effect.sleep(rest.refused)
    }
  })

  const write = Effect.fnUntraced(function* (isPatient: boolean) {
    for (let number = 0; !stopping; number++) {
      const journey = newJourney(run, number % 3 === 0)
      const { signUp, first, other, rotation, attempt } = creations(journey)
      for (const call of [signUp, first, other, rotation]) yield* send(isPatient, call, 201)
      // Whoever has rotated a token must never see the old one live.
      yield* send(isPatient, isValid(journey.first), 404)
      yield* send(isPatient, { method: "POST", path: `${tokens}/${journey.other}/revoke` }, 200)
      yield* send(isPatient, attempt, 201)
      if (journey.signedOut) {
        const path = `/v1/users/${journey.userId}/refresh-tokens/revoke`
        yield* send(isPatient, { method: "POST", path }, 200)
      }
      books.journeys.push(journey)
    }
  })

  const read = Effect.fnUntraced(function* (isPatient: boolean) {
    while (!stopping) {
      const recent = books.journeys.slice(-20)
      const journey = recent[Math.floor(recent.length * Math.random())]
      if (journey === undefined) yield* Effect.sleep(rest.refused)
      else {
        for (const [hash, status] of validityOf(journey)) {
          yield* send(isPatient, isValid(hash), status)
        }
      }
    }
  })

  const workers = [
    ...Array.from({ length: writers }, (_, number) => write(number % 2 === 0)),
    ...Array.from({ length: readers }, (_, number) => read(number % 2 === 0)),
  ]
  const fibers = yield* Effect.forEach(workers, (worker) => Effect.forkScoped(worker))

  const load: Load = {
    untilAcknowledged: (writes) =>
      Effect.suspend(() => {
        const before = new Map(books.acknowledged)
        const more = (port: number) => (books.acknowledged.get(port) ?? 0) - (before.get(port) ?? 0)
        return until(
          `${writes} writes acknowledged by each service`,
          Effect.sync(() => ports.every((port) => more(port) >= writes)),
          60,
        )
      }),
    untilRefused: (calls) =>
      Effect.suspend(() => {
        const before = books.refused
        return until(
          `${calls} calls refused`,
          Effect.sync(() => books.refused - before >= calls),
          60,
        )
      }),
    stop: Effect.gen(function* () {
      stopping = true
      const areDone = Effect.sync(() => fibers.every((fiber) => fiber.pollUnsafe() !== undefined))
      yield* until("the end of all calls", areDone, 60)
      yield* Fiber.joinAll(fibers)
      const { answers, violations, journeys, slowest, writes, reads } = books
      return {
        answers,
        violations,
        journeys,
        slowest,
        noWrite: writes.seconds,
        noRead: reads.seconds,
      }
    }),
  }
  return load
})
