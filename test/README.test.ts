import { assert, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem } from "effect"
import denoJson from "../deno.json" with { type: "json" }
import { variables } from "../src/Config.ts"

const read = (file: string) =>
  FileSystem.FileSystem.use((fs) =>
    fs.readFileString(new URL(`../${file}`, import.meta.url).pathname)
  )
    .pipe(Effect.provide(NodeServices.layer))

/** A table's cells, row by row, without the padding that the formatter adds. */
const cells = (markdown: string) =>
  markdown.split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").map((cell) => cell.trim()).filter((cell) => cell !== ""))

it.effect("the README describes every variable as the code does, and no other", () =>
  Effect.gen(function* () {
    const readme = yield* read("README.md")
    const [, configuration = ""] = readme.split("\n## Configuration\n")
    const [table = ""] = configuration.split("\n## ")
    const described = cells(table).slice(2).map(([name, byDefault, meaning]) => ({
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
