import { assert, describe, it } from "@effect/vitest"
import { variables } from "../../src/config/Config.ts"
import { namesOf } from "../../src/config/ConfigVariable.ts"
import { distance, misspelt } from "../../src/config/misspelt.ts"

describe("misspelt", () => {
  it.each(
    [
      ["DATABASE_POLSIZE", "DATABASE_POOL_SIZE"],
      ["DATABASE_POOLSIZE", "DATABASE_POOL_SIZE"],
      ["DATABASE_URl", "DATABASE_URL"],
      ["database_url", "DATABASE_URL"],
      ["API_KEYS_FILES", "API_KEYS_FILE"],
      ["APIKEYS", "API_KEYS"],
      ["API_KEY", "API_KEYS"],
      ["PROT", "PORT"],
      ["LATCHKEY_PORT", "PORT"],
      ["LATCHKEY_DATABASE_URL_FILE", "DATABASE_URL"],
      ["LOG_LEVEL_FILE", "LOG_LEVEL"],
    ] as const,
  )("names what was meant: %s", (name, meant) => {
    assert.deepStrictEqual(misspelt({ [name]: "hunter2" }), [
      `${name} is set, but is no variable of latchkey; ${meant} is.`,
    ])
  })

  it("leaves other programs' variables alone", () => {
    const others = ["PATH", "HOME", "HOSTNAME", "TERM", "PWD", "OLDPWD", "SHLVL", "LANG", "LC_ALL"]
      .concat(
        "TZ",
        "USER",
        "LOGNAME",
        "SHELL",
        "EDITOR",
        "NO_COLOR",
        "DENO_DIR",
        "PGHOST",
        "PGPORT",
      )
      .concat(
        "OTEL_SERVICE_NAME",
        "KUBERNETES_PORT",
        "DATABASE_PORT",
        "DATABASE_SERVICE_HOST",
        "CI",
      )
      .concat("TEST_DATABASE_URL", "DEBUG", "NODE_ENV", "HTTP_PROXY", "SSH_TTY", "POSTGRES_DB", "_")
    assert.deepStrictEqual(misspelt(Object.fromEntries(others.map((name) => [name, "x"]))), [])
  })

  it("leaves what Kubernetes tells of a Service named latchkey alone", () => {
    assert.deepStrictEqual(misspelt({ LATCHKEY_PORT: "tcp://10.0.0.1:8080" }), [])
  })

  it("takes every variable for itself", () => {
    const names = variables.flatMap(namesOf)
    assert.isAbove(names.length, 20)
    assert.deepStrictEqual(misspelt(Object.fromEntries(names.map((name) => [name, "x"]))), [])
  })
})

describe("distance", () => {
  it.each(
    [
      ["", "", 0],
      ["PORT", "PORT", 0],
      ["PROT", "PORT", 1],
      ["PORTS", "PORT", 1],
      ["ORT", "PORT", 1],
      ["PART", "PORT", 1],
      ["HOME", "HOST", 2],
      ["", "PORT", 4],
    ] as const,
  )("of %j and %j is %d", (left, right, expected) => {
    assert.strictEqual(distance(left, right), expected)
    assert.strictEqual(distance(right, left), expected)
  })
})
