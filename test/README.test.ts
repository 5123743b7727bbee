import { assert, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem } from "effect"
import { OpenApi } from "effect/http-api"
import denoJson from "../deno.json" with { type: "json" }
import { Api } from "../src/api/Api.ts"
import { variables } from "../src/config/Config.ts"
import * as mod from "../src/mod.ts"
import { contractRoutes } from "./support/contractRoutes.ts"

const read = (file: string) =>
  FileSystem.FileSystem.use((fs) =>
    fs.readFileString(new URL(`../${file}`, import.meta.url).pathname)
  )
    .pipe(Effect.provide(NodeServices.layer))

const section = (markdown: string, heading: string) =>
  (markdown.split(`\n## ${heading}\n`)[1] ?? "").split("\n## ")[0] ?? ""

/** A table's cells, row by row, without the padding that the formatter adds. */
const cells = (markdown: string) =>
  markdown.split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").map((cell) => cell.trim()).filter((cell) => cell !== ""))

it.effect("the README and docs/telemetry.md describe every variable as the code does, and no other", () =>
  Effect.gen(function* () {
    const general = section(yield* read("README.md"), "Configuration")
    const ofTelemetry = section(yield* read("docs/telemetry.md"), "Variables")
    const described = [general, ofTelemetry].flatMap((table) => cells(table).slice(2)).map((
      [name, byDefault, meaning],
    ) => ({
      name: name?.replaceAll(/[`* \\]/g, ""),
      file: name?.includes("*"),
      default: byDefault?.replaceAll("`", ""),
      meaning,
    }))
    assert.deepStrictEqual(
      described,
      variables.map((variable) => ({
        name: variable.name,
        file: variable.file ?? false,
        default: variable.default.replaceAll("`", ""),
        meaning: variable.meaning,
      })),
    )
  }))

it.effect("every task that the README names is there, and every task is described", () =>
  Effect.gen(function* () {
    const readme = yield* read("README.md")
    const named = [...readme.matchAll(/deno(?:@[\d.]+)? task (\w+)/g)].map(([, task]) => task)
    assert.isAbove(named.length, 5)
    const tasks = Object.keys(denoJson.tasks)
    assert.deepStrictEqual(named.filter((task) => task === undefined || !tasks.includes(task)), [])
    for (const [task, { description }] of Object.entries(denoJson.tasks)) {
      assert.isNotEmpty(description, task)
    }
  }))

it.effect("the example environment has only variables that the service reads", () =>
  Effect.gen(function* () {
    const example = yield* read(".env.example")
    const names = [...example.matchAll(/^#? ?([A-Z_]+)=/gm)].map(([, name]) => name)
    assert.isAbove(names.length, 5)
    const known = variables.map(({ name }) => name)
    assert.deepStrictEqual(names.filter((name) => name === undefined || !known.includes(name)), [])
  }))

/** A route as the README writes it after another one: `…/valid` goes on, or replaces the end. */
const completed = (written: string, before: string) =>
  [`${before}${written.slice(1)}`, before.replace(/\/[^/]+$/, written.slice(1))]
    .find((path) => contractRoutes.some((route) => route.path === path)) ?? written

it.effect("the README names every route of the contract with its scope, and no other", () =>
  Effect.gen(function* () {
    const named: Array<string> = []
    for (
      const [routes = "", , scope = ""] of cells(section(yield* read("README.md"), "The API"))
        .slice(2)
    ) {
      let method = ""
      let path = ""
      for (const [, verb, written = ""] of routes.matchAll(/`(?:([A-Z]+) )?([^`]+)`/g)) {
        method = verb ?? method
        path = written.startsWith("…") ? completed(written, path) : written
        named.push(`${method} ${path}: ${scope.replaceAll("`", "")}`)
      }
    }
    assert.sameMembers(
      named,
      contractRoutes.map(({ method, path, scope = "no key" }) => `${method} ${path}: ${scope}`),
    )
  }))

it.effect("the README and SECURITY.md name only problems, errors and files that there are", () =>
  Effect.gen(function* () {
    const readme = yield* read("README.md")
    const security = yield* read("SECURITY.md")
    const document = JSON.stringify(OpenApi.fromApi(Api))
    const problems = [...section(readme, "The API").matchAll(/`([a-z]+(?:-[a-z]+)+)`/g)]
    assert.isAbove(problems.length, 8)
    for (const [, name] of problems) assert.include(document, `/problems/${name}"`)
    const errors = [...section(readme, "In an Effect program").matchAll(/`([A-Z]\w+)`/g)]
    assert.isAbove(errors.length, 5)
    for (const [, name = ""] of errors) {
      assert.isTrue(name in mod || name === "Redacted", name)
    }
    const fs = yield* FileSystem.FileSystem
    const others = yield* Effect.forEach(
      ["CONTRIBUTING.md", "docs/architecture.md", "docs/performance.md"],
      read,
    )
    const files = [
      ...`${readme}${security}${others.join("")}`.matchAll(
        /`((?:src|migrations|test)\/[\w./-]+)`/g,
      ),
      ...readme.matchAll(/\]\(((?!https?:)[^)#]+)\)/g),
    ]
    assert.isAbove(files.length, 8)
    for (const [, file = ""] of files) {
      assert.isTrue(yield* fs.exists(new URL(`../${file}`, import.meta.url).pathname), file)
    }
  }).pipe(Effect.provide(NodeServices.layer)))

it.effect("the README's limits on lengths are those of the API", () =>
  Effect.gen(function* () {
    const limits = section(yield* read("README.md"), "Limits")
    const described = [...limits.matchAll(/`(\w+)` ([\d,]+)(?:,|\s+characters)/g)]
      .map(([, name = "", length = ""]) => `${name}: ${Number(length.replace(",", ""))}`)
    const bounded = Object.values(OpenApi.fromApi(Api).components.schemas)
      .flatMap(({ properties = {} }) =>
        Object.entries(Object(properties)).flatMap(([name, property]) => {
          const lengths = [...JSON.stringify(property).matchAll(/"maxLength":(\d+)/g)]
          return lengths.map(([, length]) => `${name}: ${length}`)
        })
      )
      .filter((bound) => !bound.startsWith("email") && !bound.startsWith("exceptTokenHash"))
      .filter((bound) => !bound.startsWith("googleIds"))
    assert.sameMembers(described, [...new Set(bounded)])
    assert.match(limits, /at most\s+254\s+characters/)
  }))

it.effect("Deno's version is the same wherever it is named", () =>
  Effect.gen(function* () {
    const versions = yield* Effect.forEach(
      ["README.md", "CONTRIBUTING.md", "Dockerfile", ".ci/run"],
      (file) =>
        Effect.map(
          read(file),
          (text) =>
            [...text.matchAll(/[Dd]eno(?:@|:bin-|_version=| )(\d+\.\d+\.\d+)/g)]
              .map(([, version]) => version),
        ),
    )
    for (const named of versions) assert.isNotEmpty(named)
    assert.strictEqual(new Set(versions.flat()).size, 1, versions.join())
  }))
