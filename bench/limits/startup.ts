/**
 * `deno task bench:startup`: the time from the start of the process until `/readyz` answers 200, on
 * a database that exists: an external one, and one of the service's own.
 */
import { NodeServices } from "@effect/platform-node"
import { Console, Effect, FileSystem } from "effect"
import { runMain } from "../../src/process/runMain.ts"
import { cache, type Contestant, contestants } from "../contestants.ts"
import { Database } from "../Database.ts"
import { Failure } from "../Failure.ts"
import * as Machine from "../machine.ts"
import { median, table } from "../report.ts"
import * as Sections from "../sections.ts"
import * as Server from "../Server.ts"

const times = 7
const allowed = 1

/** Seconds of each start; one more before them has made the database and filled the caches. */
const measure = Effect.fnUntraced(function* (contestant: Contestant, url: URL) {
  const start = Server.start(contestant, url, "/readyz").pipe(
    Effect.map(({ startUp }) => startUp),
    Effect.scoped,
  )
  yield* start
  return yield* Effect.replicateEffect(start, times)
})

const program = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  yield* fs.makeDirectory(cache, { recursive: true })
  const { url } = yield* Database
  const latchkey = yield* contestants["latchkey"]!
  const dataDir = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-bench-" })
  const measured = [
    { database: "external", seconds: yield* measure(latchkey, url) },
    {
      database: "embedded",
      seconds: yield* measure({
        ...latchkey,
        environment: (url, port) => {
          const { DATABASE_URL: _, ...environment } = latchkey.environment(url, port)
          return { ...environment, DATA_DIR: dataDir }
        },
      }, url),
    },
  ]
  const slow = measured.filter(({ seconds }) => median(seconds) >= allowed)
  yield* Sections.write(
    Sections.results,
    [
      "# Results of `deno task bench:startup`",
      `${
        new Date().toISOString().slice(0, 10)
      }, ${Machine.describe()}. Seconds from the start of ` +
      `the process to the first 200 of \`/readyz\`, ${times} starts each on an existing database.`,
      table(
        ["database", "median", "fastest", "slowest"],
        measured.map(({ database, seconds }) => [
          database,
          ...[median(seconds), Math.min(...seconds), Math.max(...seconds)]
            .map((value) => value.toFixed(2)),
        ]),
      ),
    ].join("\n\n") + "\n",
  )
  if (slow.length === 0) return yield* Console.log(`Ready in less than ${allowed} s`)
  return yield* new Failure({
    message: `Not ready within ${allowed} s: ${slow.map(({ database }) => database).join(", ")}`,
  })
})

runMain(program.pipe(
  Effect.scoped,
  Effect.provide(Database.layer),
  Effect.provide(NodeServices.layer),
))
