import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { Effect, FileSystem } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { developmentKeys } from "../../src/operations/DevelopmentKey.ts"
import { databaseUrl } from "../faults/support/ServiceProcess.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const provided = Effect.provide(NodeServices.layer)

const makeDataDir = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const dataDir = `${yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-key-" })}/data`
  return { fs, dataDir, file: `${dataDir}/development-key` }
})

const keysIn = (dataDir: string) =>
  developmentKeys({ host: "127.0.0.1", dataDir, announce: () => Effect.void })

const sha256 = (key: string) => createHash("sha256").update(key).digest("hex")

describe("developmentKeys", () => {
  it.effect("makes a key that only its owner can read, and reads it from then on", () =>
    Effect.gen(function* () {
      const { fs, dataDir, file } = yield* makeDataDir
      const [made] = yield* keysIn(dataDir)

      assert.strictEqual(made?.sha256, sha256((yield* fs.readFileString(file)).trim()))
      assert.strictEqual((yield* fs.stat(file)).mode & 0o777, 0o600)
      assert.strictEqual((yield* fs.stat(dataDir)).mode & 0o777, 0o700)
      assert.deepStrictEqual(yield* fs.readDirectory(dataDir), ["development-key"])
      assert.deepStrictEqual(yield* keysIn(dataDir), [made])
    }).pipe(provided))

  it.effect("gives the same key to all that start at once", () =>
    Effect.gen(function* () {
      const { fs, dataDir } = yield* makeDataDir
      const keys = yield* Effect.all(Array.from({ length: 20 }, () => keysIn(dataDir)), {
        concurrency: "unbounded",
      })

      assert.strictEqual(new Set(keys.map(([key]) => key?.sha256)).size, 1)
      assert.deepStrictEqual(yield* fs.readDirectory(dataDir), ["development-key"])
    }).pipe(provided))

  it.effect("refuses a link, and neither reads nor writes what it leads to", () =>
    Effect.gen(function* () {
      const { fs, dataDir, file } = yield* makeDataDir
      yield* fs.makeDirectory(dataDir)
      for (const target of ["victim", "missing"]) {
        yield* fs.writeFileString(`${dataDir}/victim`, "secret", { mode: 0o600 })
        yield* fs.symlink(`${dataDir}/${target}`, file)

        const { message } = yield* Effect.flip(keysIn(dataDir))
        assert.include(message, `${file} cannot be used: it is not a plain file. Delete it`)
        assert.strictEqual(yield* fs.readFileString(`${dataDir}/victim`), "secret")
        assert.isFalse(yield* fs.exists(`${dataDir}/missing`))
        yield* fs.remove(file)
      }
    }).pipe(provided))

  it.effect.each(
    [
      ["", 0o600, "it is empty"],
      ["\n", 0o600, "it is empty"],
      ["a key\n", 0o644, "other users have rights to it"],
      ["a key\n", 0o660, "other users have rights to it"],
    ] as const,
  )("refuses %j with mode %i", ([content, mode, sentence]) =>
    Effect.gen(function* () {
      const { fs, dataDir, file } = yield* makeDataDir
      yield* fs.makeDirectory(dataDir)
      yield* fs.writeFileString(file, content)
      yield* fs.chmod(file, mode)

      const { message } = yield* Effect.flip(keysIn(dataDir))
      assert.include(message, `${sentence}. Delete it to have`)
    }).pipe(provided))

  it.effect.skipIf(Deno.uid() !== 0)(
    "as root, refuses the file of another user (needs root)",
    () =>
      Effect.gen(function* () {
        const { fs, dataDir, file } = yield* makeDataDir
        yield* keysIn(dataDir)
        yield* fs.chown(file, 65534, 65534)

        const { message } = yield* Effect.flip(keysIn(dataDir))
        assert.include(message, "it belongs to user 65534")
      }).pipe(provided),
  )

  it.effect("says why it cannot make the file", () =>
    Effect.gen(function* () {
      const { fs, dataDir, file } = yield* makeDataDir
      yield* fs.writeFileString(dataDir, "")

      const { message } = yield* Effect.flip(keysIn(dataDir))
      assert.include(message, `The development key in ${file} cannot be used: `)
    }).pipe(provided))

  it.effect("works in the sandbox, the second time as well", () =>
    Effect.gen(function* () {
      const { dataDir, file } = yield* makeDataDir
      const { connection } = yield* TestDatabase
      const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
      const repository = new URL("../../", import.meta.url).pathname
      // Stops by itself once it listens.
      const serve = `deno task serve 2>&1 | while read -r line; do
  echo "$line"
  case $line in *"Listening on"*) kill -TERM 0 ;; esac
done`
      const outputs = yield* Effect.replicateEffect(
        spawner.string(ChildProcess.make("/bin/sh", ["-c", `trap : TERM; ${serve}`], {
          cwd: repository,
          extendEnv: true,
          env: {
            DATABASE_URL: databaseUrl(connection),
            DATA_DIR: dataDir,
            PORT: "0",
            LOG_FORMAT: "json",
          },
          detached: true,
        })),
        2,
      )

      assert.include(outputs[0], `Development key, good for everything, kept in ${file}`)
      assert.include(outputs[1], `The development key is in ${file}`)
      for (const output of outputs) assert.include(output, "Listening on")
    }).pipe(Effect.provide(TestDatabase.layer), provided))
})
