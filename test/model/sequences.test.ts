import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { checks } from "../support/checks.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { clear, contents, expectedContents, forbiddenTokens } from "./contents.ts"
import { anySequence, beginning } from "./Operation.ts"
import { perform } from "./perform.ts"
import { step } from "./step.ts"
import { empty } from "./Tables.ts"
import { toCall } from "./toCall.ts"

layer(TestDatabase.layerRepositories)("any sequence of operations", (it) => {
  it.effect.prop(
    "is answered as the model says, and leaves the tables as the model has them",
    [anySequence(100)],
    ([operations]) =>
      Effect.gen(function* () {
        yield* clear
        let tables = empty
        for (const operation of [...beginning, ...operations]) {
          const call = toCall(tables, operation)
          const answer = yield* perform(call)
          const expected = step(tables, call, answer)
          assert.deepStrictEqual(answer, expected.answer, JSON.stringify(call))
          tables = expected.tables
        }
        assert.deepStrictEqual<unknown>(yield* contents, expectedContents(tables))
        assert.deepStrictEqual<unknown>(yield* forbiddenTokens, [])
      }),
    checks(200, { size: 100, maxShrinks: 400 }),
  )
})
