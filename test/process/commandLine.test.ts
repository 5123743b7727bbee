import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import denoJson from "../../deno.json" with { type: "json" }
import * as Program from "../support/Program.ts"

const root = new URL("../..", import.meta.url).pathname

const keys = JSON.stringify([{ name: "a", sha256: "a1".repeat(32), scopes: ["*"] }])

/** Runs a task to its end, in an environment of these variables alone. */
const run = (task: "start" | "serve", option: string, variables: Record<string, string> = {}) =>
  Effect.flatMap(Program.start(["task", "--quiet", task, option], variables), ({ ended }) => ended)

const commit = Effect.promise(() =>
  new Deno.Command("git", { args: ["rev-parse", "HEAD"], cwd: root, stderr: "null" }).output().then(
    ({ stdout, success }) => success ? new TextDecoder().decode(stdout).trim() : "unknown",
    // Where there is no Git, there is mostly no clone either.
    () => "unknown",
  )
)

layer(NodeServices.layer, { excludeTestServices: true })("the command line", (it) => {
  it.effect.each(["start", "serve"] as const)(
    "tells what this is: deno task %s --version",
    (task) =>
      Effect.gen(function* () {
        const { code, output } = yield* run(task, "--version")
        assert.strictEqual(code, 0, output)
        const [, version, found, deno] =
          /^latchkey (\S+) \(commit (\S+), Deno (\S+)\)$/m.exec(output) ?? []
        assert.deepStrictEqual([version, deno], [denoJson.version, Deno.version.deno])
        // A clone in a worktree has its commit elsewhere, where the sandbox does not lead.
        assert.include(task === "start" ? [yield* commit] : [yield* commit, "unknown"], found)
      }),
  )

  it.effect("shows what differs from the defaults, and no secret", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      yield* fs.writeFileString(`${directory}/keys`, keys)
      const { code, output } = yield* run("start", "--check-config", {
        HOST: "0.0.0.0",
        PORT: "8080",
        DATABASE_URL: "postgres://u:hunter2@nowhere.invalid/d",
        API_KEYS_FILE: `${directory}/keys`,
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4318/",
        OTEL_EXPORTER_OTLP_HEADERS: "authorization=hunter2",
        DATABASE_POLSIZE: "20",
      })
      assert.strictEqual(code, 0, output)
      assert.deepStrictEqual(output.trim().split("\n"), [
        "The environment can be used.",
        "Settings that differ from their defaults:",
        "  HOST = 0.0.0.0",
        "  DATABASE_URL is set",
        `  API_KEYS_FILE = ${directory}/keys`,
        "  OTEL_EXPORTER_OTLP_ENDPOINT = http://localhost:4318/",
        "  OTEL_EXPORTER_OTLP_HEADERS is set",
        "Warning: DATABASE_POLSIZE is set, but is no variable of latchkey; DATABASE_POOL_SIZE is.",
      ])
    }))

  it.effect("says all that is wrong at once, and starts nothing", () =>
    Effect.gen(function* () {
      const { code, output } = yield* run("serve", "--check-config", {
        HOST: "0.0.0.0",
        PORT: "http",
        LOG_FORMAT: "xml",
      })
      assert.strictEqual(code, 1, output)
      assert.include(output, "PORT must be a port in digits")
      assert.include(output, "LOG_FORMAT must be one of")
      assert.include(output, "DATABASE_URL or DATABASE_URL_FILE must be set")
      assert.include(output, "HOST is 0.0.0.0, which others can reach, but there are no keys")
    }))

  it.effect("of serve checks the same in its sandbox", () =>
    Effect.gen(function* () {
      const { code, output } = yield* run("serve", "--check-config", {
        DATABASE_URL: "postgres://u:hunter2@nowhere.invalid/d",
        API_KEYS: keys,
        LATCHKEY_PORT: "9000",
      })
      assert.strictEqual(code, 0, output)
      assert.include(output, "The environment can be used.")
      assert.include(
        output,
        "Warning: LATCHKEY_PORT is set, but is no variable of latchkey; PORT is.",
      )
      assert.notInclude(output, "hunter2")
      assert.notInclude(output, "a1a1")
    }))

  it.effect.each([["--chek-config"], ["--version=1"], ["start"]] as const)(
    "refuses what it does not know, and does not start: %s",
    ([option]) =>
      Effect.gen(function* () {
        const { code, output } = yield* run("start", option)
        assert.strictEqual(code, 1)
        assert.include(output, "--check-config  read the environment")
      }),
  )

  it.effect("explains itself", () =>
    Effect.gen(function* () {
      const { code, output } = yield* run("start", "--help")
      assert.strictEqual(code, 0)
      assert.include(output, "--version")
    }))
})
