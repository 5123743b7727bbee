/**
 * How many files of src a request runs through: the way in for a reader must stay short.
 *
 * `deno task request-files` prints them. A file counts if a function of it ran once or more for each
 * request, by V8's precise coverage of the service with some requests, and with as many more twice.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Path, Schema } from "effect"
import { NodeServices } from "@effect/platform-node"
import { type Call, makeClient } from "./faults/support/Client.ts"
import * as ServiceProcess from "./faults/support/ServiceProcess.ts"
import * as Program from "./support/Program.ts"
import { TestDatabase } from "./support/TestDatabase.ts"

/** Times that a request is made, or a group of requests at once. */
const times = 10

const Coverage = Schema.fromJsonString(Schema.Struct({
  url: Schema.String,
  functions: Schema.Array(Schema.Struct({
    functionName: Schema.String,
    ranges: Schema.Array(Schema.Struct({ startOffset: Schema.Number, count: Schema.Number })),
  })),
}))

type Counts = ReadonlyMap<string, number>

/** How often each function of src was called, by file, name and place. */
const readCounts = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const counts = new Map<string, number>()
  for (const name of yield* fs.readDirectory(directory)) {
    if (!name.endsWith(".json")) continue
    const { url, functions } = yield* Schema.decodeEffect(Coverage)(
      yield* fs.readFileString(path.join(directory, name)),
    )
    const [, file] = /\/src\/(.*\.ts)$/.exec(url) ?? []
    // What is called "" is the module itself, which runs once.
    for (const { functionName, ranges: [range] } of functions) {
      if (
        file === undefined || range === undefined || functionName === "" && range.startOffset === 0
      ) {
        continue
      }
      const key = `${file}\0${functionName}\0${range.startOffset}`
      counts.set(key, (counts.get(key) ?? 0) + range.count)
    }
  }
  return counts
})

/** The service's calls of functions while `use` makes requests of it. */
const measure = <E, R>(
  use: (call: (call: Call) => Effect.Effect<number>) => Effect.Effect<void, E, R>,
) =>
  Effect.scoped(Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const { connection } = yield* TestDatabase
    const directory = yield* fs.makeTempDirectoryScoped({ prefix: "request-files" })
    const service = yield* Program.start(
      ["run", "-A", `--coverage=${directory}`, "src/bin/main.ts"],
      {
        PORT: "0",
        LOG_FORMAT: "json",
        API_KEYS: ServiceProcess.apiKeys,
        DATABASE_URL: ServiceProcess.databaseUrl(connection),
      },
    )
    const [, port] = yield* service.said(/Listening on http:\/\/[^"]*?:(\d+)/)
    const client = yield* makeClient
    yield* use((call) =>
      Effect.map(
        client(Number(port), call),
        (outcome) => outcome._tag === "Answered" ? outcome.answer.status : 0,
      )
    )
    yield* service.signal("SIGTERM")
    yield* service.ended
    return yield* readCounts(directory)
  }))

/** The files of which a function was called more often by `times`, or more. */
const filesBetween = (before: Counts, after: Counts) => {
  const files = new Set<string>()
  for (const [key, count] of after) {
    if (count - (before.get(key) ?? 0) >= times) files.add(key.slice(0, key.indexOf("\0")))
  }
  return [...files].sort()
}

let number = 0

const signUp = (headers: Readonly<Record<string, string>> = {}): Call => ({
  method: "POST",
  path: "/v1/users",
  json: { email: `${++number}@example.com`, authProvider: "email", passwordHash: "hash" },
  headers,
})

const expiresAt = "2099-01-01T00:00:00Z"

const signUps = (headers?: Readonly<Record<string, string>>) => (count: number) =>
  measure(Effect.fnUntraced(function* (call) {
    for (let index = 0; index < count; index++) {
      assert.strictEqual(yield* call(signUp(headers)), 201)
    }
  }))

/** Groups of rotations that meet; the tokens are made one after the other, and as often in each case. */
const rotations = (count: number) =>
  measure(Effect.fnUntraced(function* (call) {
    const userId = crypto.randomUUID()
    assert.strictEqual(
      yield* call({ ...signUp(), headers: { "idempotency-key": userId } }),
      201,
    )
    const names = Array.from({ length: 3 * times * 24 }, () => crypto.randomUUID())
    for (const tokenHash of names) {
      const json = { userId, tokenHash, expiresAt }
      assert.strictEqual(yield* call({ method: "POST", path: "/v1/refresh-tokens", json }), 201)
    }
    for (let round = 0; round < count; round++) {
      const statuses = yield* Effect.forEach(names.splice(0, 24), (tokenHash) =>
        call({
          method: "POST",
          path: `/v1/refresh-tokens/${tokenHash}/rotate`,
          json: { tokenHash: `${tokenHash}+`, expiresAt },
        }), { concurrency: "unbounded" })
      assert.deepStrictEqual([...new Set(statuses)], [201])
    }
  }))

layer(TestDatabase.layer, { excludeTestServices: true })("the files of a request", (it) => {
  it.effect.each(
    [
      ["POST /v1/users on the fast path", signUps(), 40],
      // A body of unknown length is left to the router.
      ["POST /v1/users on the router's path", signUps({ "transfer-encoding": "chunked" }), 45],
      ["rotations that meet", rotations, 44],
    ] as const,
  )("%s", ([name, use, most]) =>
    Effect.gen(function* () {
      const [one, two, three] = [yield* use(times), yield* use(2 * times), yield* use(3 * times)]
      // V8 loses the counts of functions that it has collected as garbage, now and then.
      const again = filesBetween(two, three)
      const files = filesBetween(one, two).filter((file) => again.includes(file))
      if (Deno.env.has("PRINT_FILES")) {
        yield* Effect.logInfo(`${name}: ${files.length}\n  ${files.join("\n  ")}`)
      }
      assert.isAbove(files.length, 5)
      assert.isAtMost(files.length, most, files.join("\n"))
    }).pipe(Effect.provide(NodeServices.layer)))
})
