import { assert, describe, it } from "@effect/vitest"
import { definitions, variables } from "../../src/config/Config.ts"
import { namesOf } from "../../src/config/ConfigVariable.ts"

describe("Config", () => {
  it("names every variable once, its file included", () => {
    const names = variables.flatMap(namesOf)
    assert.deepStrictEqual([...new Set(names)], names)
    assert.includeMembers(names, ["DATABASE_URL_FILE", "API_KEYS_FILE", "DATABASE_CA_FILE"])
  })

  it("documents every variable: a default, a meaning and what it wants", () => {
    for (const { name, default: byDefault, meaning, wants } of variables) {
      assert.match(name, /^[A-Z]+(_[A-Z]+)*$/)
      for (const text of [byDefault, meaning, wants]) assert.notStrictEqual(text, "", name)
    }
  })

  it("names a setting like its variable, so that one is found from the other", () => {
    const unlike = Object.entries(definitions)
      .filter(([setting, { name }]) => setting.replace(/[A-Z]/g, "_$&").toUpperCase() !== name)
      .map(([, { name }]) => name)
    assert.deepStrictEqual(unlike, ["OTEL_EXPORTER_OTLP_ENDPOINT"])
  })
})
