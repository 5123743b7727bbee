import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"

const Counted = Schema.fromJsonString(
  Schema.Struct({ fibers: Schema.Number, others: Schema.Number }),
)

/** In a process of its own, since Effect is loaded here: how many resources are made meanwhile. */
const countResources = (before: string) =>
  Effect.promise(() =>
    new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        "--no-check",
        `import { createHook } from "node:async_hooks"
        import process from "node:process"
        const counted = { fibers: 0, others: 0 }
        const init = (_, type) => {
          if (type === "effect/Fiber") counted.fibers++
          if (type === "other") counted.others++
        }
        createHook({ init }).enable()
        ${before}
        const { Effect } = await import("effect")
        await Effect.runPromise(Effect.sleep(1))
        new (process.getBuiltinModule("node:async_hooks").AsyncResource)("other")
        console.log(JSON.stringify(counted))`,
      ],
      cwd: new URL("../..", import.meta.url).pathname,
      stderr: "inherit",
    }).output()
  ).pipe(
    Effect.flatMap(({ stdout }) => Schema.decodeEffect(Counted)(new TextDecoder().decode(stdout))),
  )

describe.concurrent("a fiber that waits", () => {
  it.effect("makes an asynchronous resource by itself", () =>
    Effect.gen(function* () {
      const { fibers, others } = yield* countResources("")
      assert.isAbove(fibers, 0)
      assert.strictEqual(others, 1)
    }))

  it.effect("makes none in the service, which takes them from nobody else", () =>
    Effect.gen(function* () {
      const counted = yield* countResources(`await import("./src/runtime/disableAsyncHooks.ts")`)
      assert.deepStrictEqual(counted, { fibers: 0, others: 1 })
    }))
})
