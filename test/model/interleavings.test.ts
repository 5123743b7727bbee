import { assert, layer } from "@effect/vitest"
import { Effect, Equal } from "effect"
import { checks } from "../support/checks.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { clear, contents, expectedContents, forbiddenTokens } from "./contents.ts"
import { anySequence, beginning, concurrentSequences, type Operation } from "./Operation.ts"
import { perform } from "./perform.ts"
import { step } from "./step.ts"
import { type Answer, type Call, empty, type Tables } from "./Tables.ts"
import { toCall } from "./toCall.ts"

type Answered = ReadonlyArray<{ readonly call: Call; readonly answer: Answer }>

/** Makes the calls of one client, which decides by what it saw before, one after the other. */
const client = (tables: Tables, operations: ReadonlyArray<Operation>) =>
  Effect.forEach(operations, (operation) => {
    const call = toCall(tables, operation)
    return Effect.map(perform(call), (answer) => ({ call, answer }))
  })

/** Whether some order explains all answers, and ends in what the tables now hold. */
const isExplained = (
  tables: Tables,
  clients: ReadonlyArray<Answered>,
  isEnd: (tables: Tables) => boolean,
): boolean =>
  clients.every(({ length }) => length === 0)
    ? isEnd(tables)
    : clients.some(([first, ...rest], index) => {
      if (first === undefined) return false
      const expected = step(tables, first.call, first.answer)
      return Equal.equals(expected.answer, first.answer) &&
        isExplained(expected.tables, clients.with(index, rest), isEnd)
    })

layer(TestDatabase.layerRepositories)("clients at once", (it) => {
  it.effect.prop(
    "get the answers of some order of their calls, which also explains the tables",
    [anySequence(6), concurrentSequences],
    ([before, clients]) =>
      Effect.gen(function* () {
        yield* clear
        let tables = empty
        for (const operation of [...beginning, ...before]) {
          const call = toCall(tables, operation)
          tables = step(tables, call, yield* perform(call)).tables
        }
        const answered = yield* Effect.forEach(
          clients,
          (operations) => client(tables, operations),
          { concurrency: "unbounded" },
        )
        const found = yield* contents
        assert.deepStrictEqual<unknown>(yield* forbiddenTokens, [])
        assert.isTrue(
          isExplained(tables, answered, (end) => Equal.equals(expectedContents(end), found)),
          `No order explains ${JSON.stringify({ answered, found }, null, 2)}`,
        )
      }),
    checks(400, { size: 8 }),
  )
})
