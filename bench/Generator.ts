/** The load generator, a process of its own that is kept for all runs (load.ts). */
import { Context, Effect, Layer } from "effect"
import type { Size } from "./data.ts"
import { Failure } from "./Failure.ts"

export interface LoadRun {
  readonly operation: string
  readonly port: number
  readonly connections: number
  /** Seconds of load before the measurement, and of the measurement. */
  readonly warmUp: number
  readonly seconds: number
  /** How many requests at most. */
  readonly requests: number
  readonly size: Size
  readonly run: number
  /** The server's process, whose processor time is taken. */
  readonly pid?: number
}

export interface LoadResult {
  readonly requestsPerSecond: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Seconds of processor time per 1,000 requests. */
  readonly cpu?: number | undefined
  readonly generatorCpu: number
  readonly bytesPerRequest: number
  readonly answered: number
  readonly errors: number
  readonly firstError?: string | undefined
  /** Whether it ended early, because it had sent all the requests that it may send. */
  readonly usedUp: boolean
}

const start = Effect.acquireRelease(
  Effect.sync(() =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", new URL("load.ts", import.meta.url).pathname],
      stdin: "piped",
      stdout: "piped",
    }).spawn()
  ),
  (child) =>
    Effect.promise(async () => {
      await child.stdin.close()
      await child.status
    }),
)

export class Generator extends Context.Service<Generator, {
  readonly run: (run: LoadRun) => Effect.Effect<LoadResult, Failure>
  /** That number of requests, no matter how long they take; fails if one of them does. */
  readonly exactly: (
    run: Omit<LoadRun, "warmUp" | "seconds">,
  ) => Effect.Effect<LoadResult, Failure>
}>()("latchkey/bench/Generator") {
  static readonly layer = Layer.effect(
    Generator,
    Effect.gen(function* () {
      const child = yield* start
      const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader()
      const input = new TextEncoder()
      const exchange = async (run: LoadRun): Promise<LoadResult> => {
        const writer = child.stdin.getWriter()
        await writer.write(input.encode(`${JSON.stringify(run)}\n`))
        writer.releaseLock()
        let line = ""
        while (!line.endsWith("\n")) {
          const { value, done } = await output.read()
          if (done) throw new Error("it has ended; see above")
          line += value
        }
        return JSON.parse(line)
      }
      const run = (run: LoadRun) =>
        Effect.tryPromise({
          try: () => exchange(run),
          catch: (cause) => new Failure({ message: `The load generator failed: ${cause}` }),
        })
      return Generator.of({
        run,
        exactly: (options) =>
          Effect.filterOrFail(
            run({ ...options, warmUp: 0, seconds: 120 }),
            ({ answered, errors }) => answered === options.requests && errors === 0,
            ({ answered, errors, firstError }) =>
              new Failure({
                message: `${options.operation}: ${answered} of ${options.requests} requests ` +
                  `answered, ${errors} with an error: ${firstError}`,
              }),
          ),
      })
    }),
  )
}
