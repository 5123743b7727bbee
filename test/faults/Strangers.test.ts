/**
 * Whoever reaches the port without a key can neither hold nor spend what an honest client needs.
 *
 * The honest client has a connection from before the strangers came, as clients with a pool have.
 * `deno task test:strangers` runs all kinds at once for ten minutes and reports what the honest client
 * saw.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { eventually } from "../support/EmbeddedServer.ts"
import { answered, aSignUp, Stage } from "./support/Stage.ts"
import { strangers } from "./support/strangers.ts"

/** Short, since connections that strangers hold have to end by them; one kind connects more often. */
const limits = {
  MAX_CONNECTIONS: "300",
  REQUEST_TIMEOUT: "2s",
  RESPONSE_TIMEOUT: "2s",
  KEEP_ALIVE_TIMEOUT: "8s",
}

/** More than the service has open by itself: the honest client, the database, the listener. */
const fewSockets = 20

/** Mebibytes: more than the service needs, and far less than responses that nobody reads would take. */
const muchMemory = 700

/** How long `deno task test:strangers` goes on; without it one round of each kind is enough. */
const seconds = Number(Deno.env.get("STRANGERS_SECONDS") ?? 0)

const { id, call: signUp } = aSignUp()

/** A write and a read, which must have their usual responses. */
const honestCalls = Effect.gen(function* () {
  const stage = yield* Stage
  yield* answered(stage, 201, signUp)
  yield* answered(stage, 200, { method: "GET", path: `/v1/users/${id}` })
})

/** Mebibytes that a process holds in memory. */
const memoryOf = (pid: number) => {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`)
  return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024)
}

const socketsOf = (pid: number) =>
  Array.from(Deno.readDirSync(`/proc/${pid}/fd`)).filter(({ name }) => {
    // One that was listed may be closed by now.
    const target = Option.liftThrowable(Deno.readLinkSync)(`/proc/${pid}/fd/${name}`)
    return Option.exists(target, (path) => path.startsWith("socket:"))
  }).length

layer(Stage.layer(limits), { excludeTestServices: true })("a client without a key that", (it) => {
  it.effect.each(Object.entries(strangers))(
    "%s: others are served meanwhile, and its connections end",
    ([_, stranger]) =>
      Effect.scoped(Effect.gen(function* () {
        const { service } = yield* Stage
        yield* honestCalls
        yield* stranger(service.port)
        yield* Effect.repeat(honestCalls, { times: 20 })
        assert.isBelow(memoryOf(service.pid), muchMemory)
        // No stranger has hung up yet: the service has ended these connections.
        yield* eventually(Effect.map(honestCalls, () => socketsOf(service.pid) <= fewSockets))
      })),
  )
})

layer(Stage.layer(limits), { excludeTestServices: true })("strangers of all kinds", (it) => {
  it.effect.runIf(seconds > 0)(
    "leave an honest client its responses for a long time",
    () =>
      Effect.gen(function* () {
        const { service } = yield* Stage
        yield* honestCalls
        const attack = Effect.forEach(
          Object.values(strangers),
          (stranger) =>
            Effect.andThen(stranger(service.port), Effect.sleep("3 seconds")).pipe(
              Effect.scoped,
              Effect.forever,
            ),
          { concurrency: "unbounded", discard: true },
        )
        const attacking = yield* Effect.forkScoped(attack)
        const end = performance.now() + seconds * 1_000
        let pairs = 0
        let slowest = 0
        let peak = 0
        while (performance.now() < end) {
          const started = performance.now()
          yield* honestCalls
          slowest = Math.max(slowest, performance.now() - started)
          peak = Math.max(peak, memoryOf(service.pid))
          pairs++
        }
        yield* Fiber.interrupt(attacking)
        yield* Effect.logInfo(
          `${pairs} pairs of a write and a read in ${seconds} s, the slowest in ` +
            `${Math.round(slowest)} ms; ${peak} MiB at the most`,
        )
        assert.isBelow(peak, muchMemory)
      }),
    (seconds + 600) * 1_000,
  )
})
