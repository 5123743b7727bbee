/**
 * The steps of the Dockerfile, in an empty directory instead of an image, and what they make as a user
 * who may write nothing: `deno task check:image`. It fetches packages, so it is no part of all tests.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { inject } from "vitest"
import denoJson from "../deno.json" with { type: "json" }
import { apiKey, apiKeys, databaseUrl } from "./faults/support/ServiceProcess.ts"
import * as Program from "./support/Program.ts"
import { aServiceRole } from "./support/roles.ts"

const root = new URL("..", import.meta.url).pathname
const isAsked = Deno.env.get("TEST_IMAGE") === "1"
const commit = "c0ffee".repeat(7).slice(0, 40)

/** Packages of the image; those that hold only types are left without files. */
const expected = [
  "@effect/platform-node",
  "@effect/platform-node-shared",
  "@effect/sql-pg",
  "@redis/bloom",
  "@redis/client",
  "@redis/json",
  "@redis/search",
  "@redis/time-series",
  "@types/node",
  "@types/ws",
  "effect",
  "redis",
  "undici",
  "undici-types",
  "ws",
]

/** The instructions of a stage, each on one line. */
const stage = (dockerfile: string, name: string): ReadonlyArray<string> => {
  const lines = dockerfile.replaceAll(/^#.*\n/gm, "").replaceAll(/\\\n\s*/g, " ").split("\n")
  const start = lines.findIndex((line) => line.endsWith(` AS ${name}`))
  const rest = lines.slice(start + 1)
  const end = rest.findIndex((line) => line.startsWith("FROM "))
  return rest.slice(0, end).filter((line) => line !== "")
}

/** As a shell script for a directory: COPY from the repository, RUN; the program itself is there. */
const asScript = (instructions: ReadonlyArray<string>): string =>
  instructions.flatMap((line) => {
    const [verb = "", ...words] = line.split(" ")
    switch (verb) {
      case "COPY": {
        if (words[0]?.startsWith("--from=deno")) return []
        const sources = words.slice(0, -1).map((source) => `'${root}${source}'`)
        return [`cp -r ${sources.join(" ")} '${words.at(-1)}'`]
      }
      case "RUN":
        return [words.join(" ")]
      case "WORKDIR":
      case "ARG":
        return []
      default:
        throw new Error(`The Dockerfile has an instruction that this does not know: ${line}`)
    }
  }).join("\n")

const temporary = FileSystem.FileSystem.use((fs) =>
  fs.makeTempDirectoryScoped({ prefix: "latchkey-image-" })
)

const output = (command: Deno.Command) =>
  Effect.map(
    Effect.promise(() => command.output()),
    ({ code, stderr, stdout }) => ({
      code,
      text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr),
    }),
  )

/** Runs the steps, and takes away every right to write what they made. */
const build = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* temporary
  const dockerfile = yield* fs.readFileString(`${root}Dockerfile`)
  const script = asScript(stage(dockerfile, "build")).replaceAll("/app/", `${directory}/`)
  const built = yield* output(
    new Deno.Command("sh", {
      args: ["-euc", `${script}\nchmod -R a+rX,a-w .`],
      cwd: directory,
      env: { COMMIT: commit, NO_COLOR: "1" },
    }),
  )
  assert.strictEqual(built.code, 0, built.text)
  yield* Effect.addFinalizer(() =>
    Effect.promise(() => new Deno.Command("chmod", { args: ["-R", "u+w", directory] }).output())
  )
  return directory
})

/** Starts a program in what was built, as the image's user where this one may become another. */
const start = (
  directory: string,
  args: ReadonlyArray<string>,
  variables: Record<string, string>,
) =>
  Program.start(
    args,
    { DENO_DIR: `${directory}/.deno`, DENO_NO_UPDATE_CHECK: "1", ...variables },
    { directory, ...(Deno.uid() === 0 ? { user: 10001 } : {}) },
  )

const freePort = Effect.sync(() => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 })
  const { port } = listener.addr
  listener.close()
  return port
})

/** The words of an instruction that is written as JSON. */
const wordsOf = (dockerfile: string, instruction: string): ReadonlyArray<string> =>
  JSON.parse(
    dockerfile.replaceAll(/\\\n\s*/g, " ").split("\n")
      .flatMap((line) => line.includes(instruction) ? [line.slice(line.indexOf("["))] : []).at(
        -1,
      ) ??
      "[]",
  )

const get = (url: string) =>
  Effect.promise(() =>
    fetch(url, { headers: { authorization: `Bearer ${apiKey}`, connection: "close" } }).then(
      async (response) => {
        await response.body?.cancel()
        return response.status
      },
    )
  )

layer(NodeServices.layer, { excludeTestServices: true })("the image", (it) => {
  it.effect("has the labels of this version, and says what it runs", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dockerfile = yield* fs.readFileString(`${root}Dockerfile`)
      assert.include(dockerfile, `image.version="${denoJson.version}"`)
      assert.match(dockerfile, /^USER \d+:\d+$/m)
      assert.deepStrictEqual(wordsOf(dockerfile, "CMD"), ["deno", "task", "serve"])
      assert.include(dockerfile, "/livez")
    }))

  it.effect.skipIf(!isAsked)(
    "has what serving takes and no more, and serves as a plain user",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* build
        const packages = (yield* fs.readDirectory(`${directory}/node_modules/.deno`))
          .filter((name) => name.includes("@"))
          .map((name) => name.replace(/@[^@]+$/, "").replace("+", "/"))
        assert.sameMembers(packages, expected)
        const [size] = (yield* output(new Deno.Command("du", { args: ["-sm", directory] }))).text
          .split("\t")
        assert.isBelow(Number(size), 40)

        const { connection, owner } = yield* aServiceRole(inject("template"))
        const port = yield* freePort
        const variables = {
          HOST: "127.0.0.1",
          PORT: String(port),
          THREADS: "2",
          API_KEYS: apiKeys,
          DATABASE_URL: databaseUrl(connection),
        }
        const run = (variables: Record<string, string>, ...args: ReadonlyArray<string>) =>
          Effect.flatMap(start(directory, args, variables), ({ ended }) => ended)
        const version = yield* run(variables, "task", "serve", "--version")
        assert.include(version.output, `latchkey ${denoJson.version} (commit ${commit}`)
        const migrated = yield* run({ DATABASE_URL: databaseUrl(owner) }, "task", "migrate")
        assert.include(migrated.output, "Nothing to apply.")
        // The key of the tests is good for everything, and their server not durable.
        const examined = yield* run(variables, "task", "doctor")
        assert.strictEqual(examined.code, 2, examined.output)

        const health = wordsOf(yield* fs.readFileString(`${root}Dockerfile`), "HEALTHCHECK").slice(
          1,
        )
        assert.notStrictEqual((yield* run(variables, ...health)).code, 0)
        const service = yield* start(directory, ["task", "serve"], variables)
        yield* service.said(/Listening on .*, in 2 threads/)
        assert.strictEqual(yield* get(`http://127.0.0.1:${port}/v1/users`), 200)
        const healthy = yield* run(variables, ...health)
        assert.strictEqual(healthy.code, 0, healthy.output)
        yield* service.signal("SIGTERM")
        const { code, output: words } = yield* service.ended
        assert.strictEqual(code, 0, words)
      }),
  )
})
