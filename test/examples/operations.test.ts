/**
 * What examples/operations has for operators, against the service itself and the programs that read it.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Schedule, Schema } from "effect"
import { variables } from "../../src/config/Config.ts"
import { namesOf } from "../../src/config/ConfigVariable.ts"
import { apiKey } from "../faults/support/ServiceProcess.ts"
import * as ServiceProcess from "../faults/support/ServiceProcess.ts"
import * as Collector from "../support/Collector.ts"
import * as Promtool from "../support/Promtool.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const directory = new URL("../../examples/operations", import.meta.url).pathname

const read = (file: string) =>
  FileSystem.FileSystem.use((fs) => fs.readFileString(`${directory}/${file}`))

const Dashboard = Schema.fromJsonString(Schema.Struct({
  panels: Schema.Array(Schema.Struct({
    targets: Schema.optionalKey(Schema.Array(Schema.Struct({ expr: Schema.String }))),
  })),
}))

/** The queries of the dashboard and of the alerts. */
const queries = Effect.gen(function* () {
  const dashboard = yield* Schema.decodeEffect(Dashboard)(yield* read("grafana-dashboard.json"))
  // Each goes on until what the alert is for.
  const alerts = [...(yield* read("alerts.yaml")).matchAll(/^ +expr: ([^]*?)\n +(?:for|labels):/gm)]
  return [
    ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...alerts.map(([, expr = ""]) => expr),
  ]
})

/** What Prometheus says of a target itself. */
const isOfPrometheus = (name: string) => name === "up"

/** Names of metrics, each with the labels that a query wants of it. */
const metricsIn = (query: string) =>
  [...query.matchAll(/\b((?:latchkey|process)_[a-z_]+|up)\b(?:\{([^}]*)\})?/g)].map((
    [, name = "", selector = ""],
  ) => ({
    name,
    labels: [...selector.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)].map(([, label = ""]) => label)
      .filter((label) => label !== "job" && label !== "instance"),
  }))

/** The labels of every metric that is exposed, by its name in queries. */
const exposed = (text: string) => {
  const found = new Map<string, Set<string>>()
  for (const [, name = "", labels = ""] of text.matchAll(/^([a-z_]+)(?:\{(.*)\})? \S+$/gm)) {
    const known = found.get(name) ?? new Set()
    for (const [, label = ""] of labels.matchAll(/(\w+)="/g)) known.add(label)
    found.set(name, known)
  }
  return found
}

layer(NodeServices.layer, { excludeTestServices: true })("the examples for operators", (it) => {
  it.effect("ask for metrics that the service has, by labels that they have", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      // With all that has metrics of its own.
      const collector = yield* Collector.make()
      const { port } = yield* ServiceProcess.start({
        DATABASE_URL: ServiceProcess.databaseUrl(connection),
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        RETENTION_INTERVAL: "1s",
      })
      const url = `http://127.0.0.1:${port}`
      const get = (path: string, key = apiKey) =>
        Effect.promise(() =>
          fetch(`${url}${path}`, { headers: { authorization: `Bearer ${key}` } }).then((answer) =>
            answer.text()
          )
        )
      yield* Effect.forEach(["/v1/users", "/readyz", "/nowhere"], (path) => get(path))
      yield* get("/v1/users", "unknown")
      const wanted = (yield* queries).flatMap(metricsIn).filter(({ name }) => !isOfPrometheus(name))
      assert.isAbove(wanted.length, 40)
      const lacking = Effect.map(get("/metrics"), (text) => {
        const metrics = exposed(text)
        return [
          ...new Set(
            wanted.flatMap(({ labels, name }) =>
              labels.filter((label) => metrics.get(name)?.has(label) === false).map((label) =>
                `${name} has no label ${label}`
              ).concat(metrics.has(name) ? [] : [`there is no ${name}`])
            ),
          ),
        ].sort()
      })
      // Some have values once the first run of a task is over.
      const left = yield* Effect.repeat(lacking, {
        until: (names) => names.length === 0,
        schedule: Schedule.spaced("100 millis").pipe(Schedule.upTo({ duration: "10 seconds" })),
      }).pipe(Effect.andThen(lacking))
      assert.deepStrictEqual(left, [])
    }).pipe(Effect.provide(TestDatabase.layer)))

  it.effect.skipIf(!Promtool.isInstalled)(
    "are what Prometheus reads",
    () =>
      Effect.gen(function* () {
        for (
          const args of [
            ["check", "rules", "alerts.yaml"],
            ["check", "config", "prometheus.yaml"],
            ["test", "rules", "alerts.test.yaml"],
          ]
        ) {
          const { code, said } = yield* Promtool.run(args, { directory })
          assert.strictEqual(code, 0, said)
        }
      }),
  )

  it.effect("set variables that the service reads, and no others", () =>
    Effect.gen(function* () {
      const compose = yield* FileSystem.FileSystem.use((fs) =>
        fs.readFileString(`${directory}/../../docker-compose.yml`)
      )
      const names = [
        ...(yield* read("kubernetes.yaml")).matchAll(/- name: ([A-Z_]+)$/gm),
        ...compose.matchAll(/^ {6}([A-Z_]+): /gm),
      ].map(([, name = ""]) => name).filter((name) => !name.startsWith("POSTGRES_"))
      assert.isAbove(names.length, 8)
      const known = variables.flatMap(namesOf)
      assert.deepStrictEqual(names.filter((name) => !known.includes(name)), [])
    }))

  it.effect("name files that there are", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const root = `${directory}/../..`
      const compose = yield* fs.readFileString(`${root}/docker-compose.yml`)
      const files = [...compose.matchAll(/(?:- |file: )\.\/([\w./-]+)/g)].map(([, file = ""]) =>
        file
      )
      assert.isAbove(files.length, 4)
      for (const file of files) assert.isTrue(yield* fs.exists(`${root}/${file}`), file)
    }))
})
