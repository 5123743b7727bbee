/**
 * What the runs in this folder share: a durable PostgreSQL, the service as its users start it, load
 * from a process of its own, and SQL on the side.
 */
import { NodeServices } from "@effect/platform-node"
import { createHash } from "node:crypto"
import { Context, Effect, FileSystem, Layer, Redacted, Schema, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Database from "../../src/database/Database.ts"
import { Migrator } from "../../src/migrator/Migrator.ts"
import { startOverTcp } from "../../test/support/overTcp.ts"
import { startCommand } from "../contestants.ts"
import type { Load } from "./closedLoop.ts"

const key = "benchmark-key"

const [program, ...args] = startCommand

const LoadResult = Schema.fromJsonString(Schema.Struct({
  statuses: Schema.Record(Schema.String, Schema.Number),
  p50: Schema.Number,
  p99: Schema.Number,
  max: Schema.Number,
}))

/** The server that the service uses, on another machine in real life, and so at a port. */
class Server extends Context.Service<Server, Effect.Success<ReturnType<typeof startOverTcp>>>()(
  "latchkey/bench/Server",
) {
  static readonly layer = Layer.effect(
    Server,
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-bench-" })
      return Server.of(yield* startOverTcp({ dataDir, durable: true }))
    }),
  )
}

/** The service under load, on a migrated database of its own; `SqlClient` is on the same database. */
export class Bench extends Context.Service<Bench, {
  readonly port: number
  /** The process of the service. */
  readonly pid: number
}>()("latchkey/bench/Bench") {
  /** `environment` is added to what the service is started with. */
  static readonly layer = (environment: Record<string, string> = {}) =>
    Layer.effect(
      Bench,
      Effect.gen(function* () {
        const { host, port, username, password, database } = yield* Server
        yield* Migrator.use((migrator) => migrator.up())
        const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
        const service = yield* spawner.spawn(
          ChildProcess.make(program, args, {
            extendEnv: true,
            env: {
              PORT: "0",
              LOG_FORMAT: "logfmt",
              DATABASE_URL: `postgres://${username}:${
                Redacted.value(password)
              }@${host}:${port}/${database}`,
              API_KEYS: JSON.stringify([{
                name: "benchmark",
                sha256: createHash("sha256").update(key).digest("hex"),
                scopes: ["*"],
              }]),
              ...environment,
            },
            stderr: "inherit",
          }),
        )
        const listening = yield* service.stdout.pipe(
          Stream.decodeText(),
          Stream.splitLines,
          Stream.filter((line) => line.includes("Listening on")),
          Stream.runHead,
          Effect.flatMap(Effect.fromOption),
        )
        return {
          port: Number(/:(\d+)/.exec(listening.slice(listening.indexOf("http:") + 5))?.[1]),
          pid: service.pid,
        }
      }),
    ).pipe(
      Layer.provide(Migrator.layer),
      Layer.provideMerge(
        Layer.unwrap(
          Server.use((connection) => Effect.succeed(Database.layer({ connection }))),
        ),
      ),
      Layer.provide(Server.layer),
      Layer.provideMerge(NodeServices.layer),
    )
}

/** A request with the key, as it goes over the wire. */
export const requestOf = (method: string, target: string, body?: object) => {
  const json = body === undefined ? "" : JSON.stringify(body)
  return [
    `${method} ${target} HTTP/1.1`,
    "Host: 127.0.0.1",
    `Authorization: Bearer ${key}`,
    ...(body === undefined
      ? []
      : ["Content-Type: application/json", `Content-Length: ${json.length}`]),
    "",
    json,
  ].join("\r\n")
}

/** Puts load on the service. */
export const load = Effect.fnUntraced(function* (options: Omit<Load, "port">) {
  const { port } = yield* Bench
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const output = yield* spawner.string(
    ChildProcess.make(Deno.execPath(), [
      "run",
      "--allow-net",
      "bench/limits/closedLoop.ts",
      JSON.stringify({ port, ...options }),
    ]),
  )
  const { statuses, ...latency } = yield* Schema.decodeEffect(LoadResult)(output)
  const succeeded = Object.entries(statuses)
    .reduce((sum, [status, count]) => status.startsWith("2") ? sum + count : sum, 0)
  return { statuses, ...latency, goodput: succeeded / options.seconds }
})
