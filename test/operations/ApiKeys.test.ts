import { assert, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { createHash } from "node:crypto"
import { ConfigProvider, Effect, FileSystem, Layer, Metric, Option } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { TestClock } from "effect/testing"
import { Fatal } from "../../src/background/Fatal.ts"
import { definitions } from "../../src/config/Config.ts"
import { read } from "../../src/config/ConfigVariable.ts"
import { ApiKey, Scope } from "../../src/domain/ApiKey.ts"
import { ApiKeys } from "../../src/operations/ApiKeys.ts"
import { LogLines } from "../support/LogLines.ts"

const apiKey = (name: string, key: string, scopes: ReadonlyArray<Scope> = ["*"]) =>
  new ApiKey({ name, sha256: createHash("sha256").update(key).digest("hex"), scopes })

const nameOf = (key: string, connection?: object) =>
  ApiKeys.use(({ find }) =>
    Effect.sync(() => Option.map(find(key, connection), ({ name }) => name))
  )

it.effect("a key is found by its hash, also one of several of the same name", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* nameOf("old"), Option.some("auth-service"))
    assert.deepStrictEqual(yield* nameOf("new"), Option.some("auth-service"))
    assert.deepStrictEqual(yield* nameOf("other"), Option.none())
    assert.deepStrictEqual(yield* nameOf(""), Option.none())
  }).pipe(
    Effect.provide(
      ApiKeys.layer([apiKey("auth-service", "old"), apiKey("auth-service", "new")]),
    ),
  ))

it.effect("what a connection brought before is no pass for another key", () =>
  Effect.gen(function* () {
    const connection = {}
    for (const [key, name] of [["one", "a"], ["one", "a"], ["two", "b"], ["one", "a"]] as const) {
      assert.deepStrictEqual(yield* nameOf(key, connection), Option.some(name))
    }
    for (const other of ["onf", "oneone", "on", "", "One"]) {
      assert.deepStrictEqual(yield* nameOf(other, connection), Option.none())
    }
    assert.deepStrictEqual(yield* nameOf("one", connection), Option.some("a"))
  }).pipe(Effect.provide(ApiKeys.layer([apiKey("a", "one"), apiKey("b", "two")]))))

/** A directory as Kubernetes mounts a secret: links that are replaced by a rename, at once. */
const makeSecretMount = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped()
  let version = 0
  const swap = Effect.fnUntraced(function* (
    write: (path: string) => Effect.Effect<void, unknown, FileSystem.FileSystem>,
  ) {
    const data = `${directory}/..version-${++version}`
    yield* fs.makeDirectory(data)
    yield* write(`${data}/keys.json`)
    yield* fs.symlink(data, `${directory}/..next`)
    yield* fs.rename(`${directory}/..next`, `${directory}/..data`)
  })
  yield* fs.symlink("..data/keys.json", `${directory}/keys.json`)
  return { path: `${directory}/keys.json`, swap }
})

const textOf = (keys: ReadonlyArray<ApiKey>) => (path: string) =>
  FileSystem.FileSystem.use((fs) => fs.writeFileString(path, JSON.stringify(keys)))

const countRuns = Effect.map(
  PrometheusMetrics.format(),
  (text) => Number(/^background_task_runs_total\{task="api-keys"\} (\d+)$/m.exec(text)?.[1]),
)

/** Waits until the file has been read once more: the clock is the test's, the disk is not. */
const nextRead = Effect.gen(function* () {
  const before = yield* countRuns
  yield* TestClock.adjust("5 seconds")
  yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1))).pipe(
    Effect.andThen(countRuns),
    Effect.repeat({ until: (count) => count > before }),
  )
})

/** The keys of a file, as the service has them. */
const reloading = (path: string) =>
  Layer.unwrap(Effect.gen(function* () {
    const load = read(
      definitions.apiKeys,
      ConfigProvider.fromEnvRecord({ API_KEYS_FILE: path }),
    ).pipe(Effect.map(Option.getOrElse(() => [])))
    return ApiKeys.layerReloading(yield* load, load)
  }))

const Observed = Layer.mergeAll(
  NodeServices.layer,
  LogLines.layer,
  Fatal.layer,
  Layer.sync(Metric.MetricRegistry, () => new Map()),
)

it.effect("ApiKeys.layerReloading takes up each new file, and says which keys changed", () =>
  Effect.gen(function* () {
    const lines = yield* LogLines
    const { path, swap } = yield* makeSecretMount
    yield* swap(textOf([apiKey("a", "first")]))
    const connection = {}
    yield* Effect.gen(function* () {
      assert.deepStrictEqual(yield* nameOf("first", connection), Option.some("a"))
      yield* nextRead
      yield* swap(textOf([apiKey("b", "second")]))
      yield* nextRead
      assert.deepStrictEqual(yield* nameOf("first"), Option.none())
      assert.deepStrictEqual(yield* nameOf("first", connection), Option.none())
      assert.deepStrictEqual(yield* nameOf("second"), Option.some("b"))
      yield* swap(textOf([apiKey("b", "second", ["users:read"]), apiKey("b", "third")]))
      yield* nextRead
      yield* nextRead
      assert.deepStrictEqual(lines, [
        'Info Reloaded API keys: added "b"; removed "a"',
        'Info Reloaded API keys: added "b"; other scopes for "b"',
      ])
    }).pipe(Effect.provide(reloading(path)))
  }).pipe(Effect.scoped, Effect.provide(Observed)))

const text = (content: string) => (path: string) =>
  FileSystem.FileSystem.use((fs) => fs.writeFileString(path, content))

const names = "API_KEYS_FILE names"
const wanted =
  "which must hold a JSON list of at least one key, each pair of name and sha256 once, " +
  'such as [{"name":"auth-service","sha256":"<64 hexadecimal digits>","scopes":["users:read"]}]'

it.effect.each<
  [string, (path: string) => Effect.Effect<void, unknown, FileSystem.FileSystem>, string]
>(
  [
    ["missing", () => Effect.void, "which cannot be read (NotFound)."],
    ["empty", text(""), "which is empty."],
    ["half written", text('[{"name":"hunter2'), `${wanted}; it is not valid JSON.`],
    ["an empty list", text("[]"), `${wanted}; the list is empty.`],
    [
      "of an unknown scope",
      text(JSON.stringify([apiKey("a", "x"), { ...apiKey("hunter2", "y"), scopes: ["admin"] }])),
      `${wanted}; entry 2: scope "admin" is not one of ${Scope.literals.join(", ")}.`,
    ],
    [
      "a directory",
      (path) => FileSystem.FileSystem.use((fs) => fs.makeDirectory(path)),
      "which cannot be read (it is a directory).",
    ],
    [
      "huge",
      (path) =>
        FileSystem.FileSystem.use((fs) =>
          Effect.andThen(fs.writeFileString(path, ""), fs.truncate(path, 2 ** 40))
        ),
      "which cannot be read (it is larger than 1 MiB).",
    ],
    [
      "a link to itself",
      (path) => FileSystem.FileSystem.use((fs) => fs.symlink(path, path)),
      "which cannot be read (BadResource).",
    ],
  ],
)(
  "ApiKeys.layerReloading keeps its keys while the file is %s, and says so once",
  ([, write, problem]) =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      const { path, swap } = yield* makeSecretMount
      yield* swap(textOf([apiKey("a", "first")]))
      yield* Effect.gen(function* () {
        yield* swap(write)
        yield* nextRead
        yield* nextRead
        assert.deepStrictEqual(yield* nameOf("first"), Option.some("a"))
        yield* swap(textOf([apiKey("a", "first")]))
        yield* nextRead
        assert.deepStrictEqual(lines, [
          `Error Keeping previous API keys: ${names} ${path}, ${problem}`,
          "Info The API keys can be read again",
        ])
        yield* swap(textOf([apiKey("b", "second")]))
        yield* nextRead
        assert.deepStrictEqual(yield* nameOf("second"), Option.some("b"))
      }).pipe(Effect.provide(reloading(path)))
    }).pipe(Effect.scoped, Effect.provide(Observed)),
)

it.effect("ApiKeys.layerReloading says so again when the file is wrong in another way", () =>
  Effect.gen(function* () {
    const lines = yield* LogLines
    const { path, swap } = yield* makeSecretMount
    yield* swap(textOf([apiKey("a", "first")]))
    yield* Effect.gen(function* () {
      for (const content of ["[]", "[]", "{}", "[]"]) {
        yield* swap(text(content))
        yield* nextRead
      }
      assert.deepStrictEqual(
        lines.map((line) => line.slice(line.lastIndexOf("; ") + 2)),
        ["the list is empty.", "it is not a list.", "the list is empty."],
      )
    }).pipe(Effect.provide(reloading(path)))
  }).pipe(Effect.scoped, Effect.provide(Observed)))
