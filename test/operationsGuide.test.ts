import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { OpenApi } from "effect/http-api"
import denoJson from "../deno.json" with { type: "json" }
import { Api } from "../src/api/Api.ts"
import { problemBase } from "../src/api/problems.ts"
import { variables } from "../src/config/Config.ts"
import { namesOf } from "../src/config/ConfigVariable.ts"

const read = (file: string) =>
  FileSystem.FileSystem.use((fs) =>
    fs.readFileString(new URL(`../${file}`, import.meta.url).pathname)
  )

/** The names of the sections within one. */
const sectionsIn = (markdown: string, heading: string) => {
  const section = (markdown.split(`\n## ${heading}\n`)[1] ?? "").split("\n## ")[0] ?? ""
  return [...section.matchAll(/^### (.+)$/gm)].map(([, name]) => name)
}

const guide = read("docs/operations.md")

layer(NodeServices.layer)("docs/operations.md", (it) => {
  it.effect("has a section for every problem, and for no other", () =>
    Effect.gen(function* () {
      const document = JSON.stringify(OpenApi.fromApi(Api))
      const types = document.matchAll(new RegExp(`"${problemBase}([a-z-]+)"`, "g"))
      const names = new Set([...types].map(([, name]) => name))
      assert.isAbove(names.size, 20)
      assert.sameMembers(sectionsIn(yield* guide, "Problems"), [...names])
    }))

  it.effect("has a section for every alert, where it says so, and for no other", () =>
    Effect.gen(function* () {
      const alerts = yield* read("examples/operations/alerts.yaml")
      const names = [...alerts.matchAll(/- alert: (\w+)/g)].map(([, name = ""]) => name)
      assert.isAbove(names.length, 10)
      assert.sameMembers(sectionsIn(yield* guide, "Alerts"), names)
      const runbooks = [...alerts.matchAll(/runbook: (\S+)/g)].map(([, runbook]) => runbook)
      assert.deepStrictEqual(
        runbooks,
        names.map((name) => `docs/operations.md#${name.toLowerCase()}`),
      )
    }))

  it.effect("has a section for every reason why the service is not ready", () =>
    Effect.gen(function* () {
      const readme = yield* read("README.md")
      const [, list = ""] = /Its `detail` is the name of the reason and no more: ([^.]*)\./s
        .exec(readme) ?? []
      const reasons = [...list.matchAll(/`([a-z-]+)`/g)].map(([, reason]) => reason)
      assert.isAbove(reasons.length, 8)
      assert.sameMembers(sectionsIn(yield* guide, "Not ready"), reasons)
    }))

  it.effect("names variables, tasks, alerts and files that there are", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const text = yield* guide
      // The service's own variables have two words at least, or are these.
      const named = [...text.matchAll(/`((?:[A-Z]+_[A-Z_]+)|PORT|HOST|THREADS)`/g)]
        .map(([, name = ""]) => name)
      const known = variables.flatMap(namesOf)
      assert.isAbove(named.length, 10)
      assert.deepStrictEqual(named.filter((name) => !known.includes(name)), [])
      const tasks = [...text.matchAll(/deno task (\w+)/g)].map(([, task = ""]) => task)
      assert.deepStrictEqual(tasks.filter((task) => !(task in denoJson.tasks)), [])
      const seen = [...text.matchAll(/\bLatchkey[A-Z]\w+/g)].map(([name]) => name)
      const alerts = sectionsIn(text, "Alerts")
      assert.deepStrictEqual(seen.filter((name) => !alerts.includes(name)), [])
      const links = [...text.matchAll(/\]\(((?!https?:)[^)#]+)/g)].map(([, link = ""]) => link)
      assert.isAbove(links.length, 4)
      for (const link of links) {
        assert.isTrue(
          yield* fs.exists(new URL(`../docs/${link}`, import.meta.url).pathname),
          link,
        )
      }
    }))
})
