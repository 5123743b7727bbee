/**
 * Each two operations that make, end or condition a user's sessions, at once: the answers of both and
 * what the database holds then are those of one of the two orders, as `step` has them.
 *
 * They meet in the ways of `scenes`, each alone (a statement of its own) and in groups (with the same
 * operations on other users at the same time, so that group commit takes them), on one service and on
 * two; and one begins before each statement of the other. What a statement of a group would have to
 * wait for becomes a statement of its own, so in groups every other round holds nothing.
 *
 * `RACES` is how many runs each pair has in each way; a soak prints tables of what came of them.
 */
import { assert, layer } from "@effect/vitest"
import { Config, Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { atOnce } from "../support/atOnce.ts"
import { serviceWith } from "../support/elsewhere.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import {
  type EndState,
  type Fixture,
  type OperationPair,
  prepare,
  readEndStates,
  type Variant,
} from "./fixtures.ts"
import { describeOrders, explain } from "./judge.ts"
import { type Actor, perform } from "./perform.ts"
import { Report } from "./Report.ts"
import { between, play, type Scene, scenes } from "./scenes.ts"
import { operations } from "./step.ts"
import { describeWorld } from "./World.ts"

const usual = 3
const runs = Effect.runSync(Config.withDefault(Config.Int("RACES"), usual))
const timeout = 600_000 * Math.max(1, runs / 10)

/** Users of a round of groups, each of whom has a call of either operation. */
const roundSize = 6

/** Statements of most operations, and one that is not there. */
const statementsExpected = 5

/** Fixtures that are made together: all are used up long before their grace ends. */
const chunkSize = 10

/** The first operation's service and the second's, and who lets them meet. */
class Actors extends Context.Service<Actors, {
  readonly one: Actor
  readonly two: Actor
}>()("latchkey/test/races/Actors") {
  static readonly layer = Layer.effect(
    Actors,
    Effect.gen(function* () {
      const { sql: psql } = yield* serviceWith(20)
      // So many connections that all calls of a round can wait for locks at the same time.
      const one = { service: yield* serviceWith(40), psql }
      return { one, two: { service: yield* serviceWith(40), psql } }
    }),
  )
}

const pairs = operations.flatMap((first, index) =>
  operations.slice(index).map((second): OperationPair => [first, second])
)

const describeRows = ({ rows }: EndState) => rows.map((row) => JSON.stringify(row)).join("\n")

/** What came of a run, before the database is asked. */
interface Played {
  readonly scene: string
  readonly fixture: Fixture
  readonly answers: readonly [string, string]
  readonly met: boolean
}

const describeViolation = (way: string, { scene, fixture, answers }: Played, end: EndState) => {
  const { pair: [first, second], before } = fixture
  return [
    `${first.operation} and ${second.operation}, ${way}, ${scene}:`,
    `before: ${describeWorld(before)}`,
    `answers: 1 (${first.operation}) ${answers[0]}; 2 (${second.operation}) ${answers[1]}`,
    `found: ${describeWorld(end.world)}`,
    describeRows(end),
    ...describeOrders(before, [first, second]).map((order) => `an order: ${order}`),
  ].join("\n")
}

/** Judges runs that are over; gives what to print of those that no order explains. */
const judge = Effect.fnUntraced(function* (way: string, runs: ReadonlyArray<Played>) {
  const { add } = yield* Report
  const ends = yield* readEndStates(
    yield* SqlClient.SqlClient,
    runs.map(({ fixture }) => fixture),
  )
  return runs.flatMap((run, index) => {
    const { fixture: { pair, before }, answers, met } = run
    const end = ends[index] ?? assert.fail("An end state for each run")
    const order = explain(before, pair, { ...end, answers })
    add(way, [pair[0].operation, pair[1].operation], order, met)
    return order === undefined ? [describeViolation(way, run, end)] : []
  })
})

interface Way {
  readonly name: string
  readonly isGrouped: boolean
  readonly isOnTwo: boolean
}

const ways: ReadonlyArray<Way> = [
  { name: "alone, one service", isGrouped: false, isOnTwo: false },
  { name: "alone, two services", isGrouped: false, isOnTwo: true },
  { name: "groups, one service", isGrouped: true, isOnTwo: false },
  { name: "groups, two services", isGrouped: true, isOnTwo: true },
]

/** Plays a scene for all fixtures at once. */
const playFor = Effect.fnUntraced(function* (
  { isOnTwo }: Way,
  scene: Scene,
  fixtures: ReadonlyArray<Fixture>,
) {
  const { one, two } = yield* Actors
  const { answers, met } = yield* play(scene, fixtures, [
    fixtures.map((fixture) => perform(one, fixture, fixture.pair[0])),
    fixtures.map((fixture) => perform(isOnTwo ? two : one, fixture, fixture.pair[1])),
  ])
  return fixtures.map((fixture, index): Played => ({
    scene: `${scene.gate}${scene.isReversed ? ", the second first" : ""}`,
    fixture,
    answers: answers[index] ?? assert.fail("Answers for each fixture"),
    met,
  }))
})

/** Which of the scenes and variants a run has: all of both in turn, other ones first for each pair. */
const choose = (number: number) => {
  const scene = scenes[number % scenes.length]
  const variant: Variant = Math.floor(number / scenes.length) % 2 === 0 ? 0 : 1
  return { scene: scene ?? assert.fail("A scene"), variant }
}

const playAlone = Effect.fnUntraced(function* (way: Way, pair: OperationPair, offset: number) {
  const sql = yield* SqlClient.SqlClient
  const { one: { service } } = yield* Actors
  const violations: Array<string> = []
  for (let from = 0; from < runs; from += chunkSize) {
    const numbers = Array.from(
      { length: Math.min(chunkSize, runs - from) },
      (_, index) => offset + from + index,
    )
    for (const variant of [0, 1] as const) {
      const chosen = numbers.map(choose).filter((choice) => choice.variant === variant)
      const fixtures = yield* prepare(service, sql, pair, variant, chosen.length)
      const played = yield* Effect.forEach(chosen, ({ scene }, index) => {
        const fixture = fixtures[index] ?? assert.fail("A fixture for each scene")
        return playFor(way, scene, [fixture])
      })
      violations.push(...yield* judge(way.name, played.flat()))
    }
  }
  return violations
})

const playInGroups = Effect.fnUntraced(function* (way: Way, pair: OperationPair, offset: number) {
  const sql = yield* SqlClient.SqlClient
  const { one: { service } } = yield* Actors
  const violations: Array<string> = []
  for (let round = 0; round < Math.max(2, Math.ceil(runs / roundSize)); round++) {
    const { scene, variant } = choose(offset + Math.floor(round / 2) * 3)
    const fixtures = yield* prepare(service, sql, pair, variant, roundSize)
    const played = yield* playFor(
      way,
      round % 2 === 0 ? { ...scene, gate: "instant" } : scene,
      fixtures,
    )
    violations.push(...yield* judge(way.name, played))
  }
  return violations
})

/** Starts one operation before each statement of the other, until that has no more. */
const playBetweenIn = Effect.fnUntraced(function* (
  pair: OperationPair,
  variant: Variant,
  isReversed: boolean,
) {
  const sql = yield* SqlClient.SqlClient
  const { one, two } = yield* Actors
  const played: Array<Played> = []
  const fixtures: Array<Fixture> = []
  for (let index = 0, goesOn = true; goesOn; index++) {
    if (index === fixtures.length) {
      fixtures.push(...yield* prepare(one.service, sql, pair, variant, statementsExpected))
    }
    const fixture = fixtures[index] ?? assert.fail("A fixture for each statement")
    const first = perform(one, fixture, fixture.pair[0])
    const second = perform(two, fixture, fixture.pair[1])
    const { answers: [answer, other], isReached, met } = yield* isReversed
      ? between(second, index, first)
      : between(first, index, second)
    goesOn = isReached
    played.push({
      scene: `${isReversed ? "1" : "2"} before statement ${index} of the other`,
      fixture,
      answers: isReversed ? [other, answer] : [answer, other],
      met,
    })
  }
  return yield* judge("between statements", played)
})

const playBetween = (pair: OperationPair, variant: Variant) =>
  Effect.map(
    Effect.forEach([false, true], (isReversed) => playBetweenIn(pair, variant, isReversed)),
    (violations) => violations.flat(),
  )

/** Violations of one kind are much alike. */
const shorten = (violations: ReadonlyArray<string>) => {
  const shown = violations.slice(0, 3)
  const others = violations.length - shown.length
  return [...shown, ...others > 0 ? [`and ${others} more`] : []].join("\n\n")
}

const cases = pairs.map((pair, index) => [pair.join(" and "), pair, index] as const)

const services = Layer.merge(Actors.layer, Report.layer(runs > usual)).pipe(
  Layer.provideMerge(TestDatabase.layerRepositories),
)

layer(services, { excludeTestServices: true, timeout })("at once", (it) => {
  for (const [number, way] of ways.entries()) {
    it.effect.each(cases)(
      `${way.name}: %s`,
      ([, pair, index]) =>
        Effect.gen(function* () {
          const offset = index * 7 + number * usual
          const violations = yield* (way.isGrouped ? playInGroups : playAlone)(way, pair, offset)
          assert.strictEqual(shorten(violations), "")
        }),
      timeout,
    )
  }

  it.effect.each(cases)(
    "one before each statement of the other: %s",
    ([, pair, index]) =>
      Effect.gen(function* () {
        for (let pass = 0; pass < Math.ceil(runs / 10); pass++) {
          const violations = yield* playBetween(pair, (index + pass) % 2 === 0 ? 0 : 1)
          assert.strictEqual(shorten(violations), "")
        }
      }),
    timeout,
  )

  it.effect.each(["create", "rotate", "revoke"] as const)(
    "calls in groups share commits: %s",
    (operation) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { one } = yield* Actors
        const fixtures = yield* prepare(one.service, sql, [operation, operation], 0, roundSize)
        yield* atOnce(fixtures.map((fixture) => perform(one, fixture, fixture.pair[0])))
        const written = operation === "revoke" ? "first" : "by 1"
        const [found] = yield* sql<{ readonly rows: number; readonly commits: number }>`
          SELECT count(*)::int AS rows, count(DISTINCT xmin::text)::int AS commits
          FROM refresh_tokens
          WHERE token_hash = ANY(${fixtures.map(({ hashes }) => hashes[written])})`
        assert.strictEqual(found?.rows, roundSize)
        assert.isBelow(found?.commits ?? roundSize, roundSize)
      }),
  )
})
