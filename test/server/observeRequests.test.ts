import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { Overloaded } from "../../src/api/problems.ts"
import { assertProblem } from "../support/answers.ts"
import { createUser } from "../support/bodies.ts"
import { call, get } from "../support/calls.ts"
import { eventually } from "../support/EmbeddedServer.ts"
import { LogEntries } from "../support/LogEntries.ts"
import * as RawSocket from "../support/RawSocket.ts"
import { keyWith, testService } from "../support/TestService.ts"

/** The values of all series, as `/metrics` has them. */
const scrape = Effect.map(get("/metrics", { key: null }), ({ text }) =>
  new Map(
    text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
      const end = line.lastIndexOf(" ")
      return [line.slice(0, end), Number(line.slice(end + 1))] as const
    }),
  ))

const requests = (method: string, route: string, status: string) =>
  `latchkey_http_requests_total{method="${method}",route="${route}",status="${status}"}`

const refused = (reason: string) => `latchkey_http_requests_refused_total{reason="${reason}"}`

layer(testService(), { excludeTestServices: true })("metrics of requests", (it) => {
  it.effect("count each by route, method and class of status, and why it was refused", () =>
    Effect.gen(function* () {
      const before = yield* scrape
      const user = yield* createUser()
      yield* get(`/v1/users/${user["id"]}`)
      yield* get(`/v1/users/${user["id"]}`)
      yield* call("HEAD", `/v1/users/${user["id"]}`)
      yield* get("/v1/users/none")
      yield* get("/v1/users", { key: null })
      yield* get("/v1/users", { key: keyWith("tokens:read") })
      yield* get("/v1/nothing")
      yield* call("DELETE", "/v1/users")
      const socket = yield* RawSocket.open
      yield* socket.send("NONSENSE\r\n\r\n")
      yield* socket.received
      const expected = {
        [requests("POST", "/v1/users", "2xx")]: 1,
        [requests("GET", "/v1/users/{id}", "2xx")]: 2,
        [requests("HEAD", "/v1/users/{id}", "2xx")]: 1,
        [requests("GET", "/v1/users/{id}", "4xx")]: 1,
        [requests("GET", "/v1/users", "4xx")]: 2,
        [requests("GET", "unmatched", "4xx")]: 1,
        [requests("DELETE", "unmatched", "4xx")]: 1,
        [requests("other", "unmatched", "4xx")]: 1,
        [refused("unauthorized")]: 1,
        [refused("forbidden")]: 1,
        [refused("not-found")]: 1,
        [refused("method-not-allowed")]: 1,
        [refused("malformed")]: 1,
        'latchkey_http_request_duration_seconds_count{method="GET",route="/v1/users/{id}"}': 3,
      }
      const changesOf = (after: ReadonlyMap<string, number>) =>
        Object.fromEntries(
          Object.keys(expected).map((
            name,
          ) => [name, (after.get(name) ?? 0) - (before.get(name) ?? 0)]),
        )
      // What is counted last is counted when the system has taken the answer.
      yield* eventually(
        Effect.map(
          scrape,
          (after) => JSON.stringify(changesOf(after)) === JSON.stringify(expected),
        ),
      ).pipe(Effect.timeout("5 seconds"), Effect.ignore)
      assert.deepStrictEqual(changesOf(yield* scrape), expected)
    }))
})

layer(testService({ maxRequestsInFlight: 1 }), { excludeTestServices: true })(
  "metrics of an overload",
  (it) => {
    it.effect("count every request that was turned away", () =>
      Effect.gen(function* () {
        const before = yield* scrape
        const answers = yield* Effect.all(
          Array.from({ length: 50 }, () => get("/v1/users")),
          { concurrency: "unbounded" },
        )
        const turnedAway = answers.filter(({ status }) => status === new Overloaded({}).status)
        assert.isNotEmpty(turnedAway)
        const after = yield* scrape
        assert.strictEqual(
          (after.get(refused("overloaded")) ?? 0) - (before.get(refused("overloaded")) ?? 0),
          turnedAway.length,
        )
      }))
  },
)

const crowded = Layer.provideMerge(
  testService({ maxConnections: 1, adminPort: Option.some(0) }),
  LogEntries.layer,
)

layer(crowded, { excludeTestServices: true })("a port for probes and metrics", (it) => {
  const adminPort = Effect.map(LogEntries, (entries) => {
    const found = entries.map(({ message }) =>
      /^Probes and metrics on .*:(\d+)$/.exec(`${message}`)
    )
      .find((match) => match !== null)
    return Number(found?.[1] ?? assert.fail("The port was not told"))
  })

  it.effect("answers those, and nothing else, when the service takes no more connections", () =>
    Effect.gen(function* () {
      const port = yield* adminPort
      const ask = (path: string) =>
        Effect.promise(async () => {
          const answer = await fetch(`http://127.0.0.1:${port}${path}`)
          return { status: answer.status, text: await answer.text() }
        })
      const first = yield* RawSocket.open
      yield* first.send("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
      yield* first.waitFor((text) => text.includes('{"status":"ok"}'))
      const second = yield* RawSocket.open
      assert.strictEqual(yield* second.received, "")
      for (const path of ["/livez", "/readyz"]) assert.strictEqual((yield* ask(path)).status, 200)
      const { text } = yield* ask("/metrics")
      assert.match(text, /^latchkey_http_connections 1$/m)
      assert.match(text, /^latchkey_http_connections_limit 1$/m)
      assert.match(text, /^latchkey_http_connections_refused_total [1-9]/m)
      for (const path of ["/v1/users", "/docs", "/openapi.json"]) {
        assert.strictEqual((yield* ask(path)).status, 404)
      }
    }))
})

layer(testService({ adminPort: Option.some(0) }), { excludeTestServices: true })(
  "beside a port for probes and metrics, the service's own",
  (it) => {
    it.effect("answers probes as well, and no metrics", () =>
      Effect.gen(function* () {
        for (const path of ["/livez", "/readyz"]) {
          assert.strictEqual((yield* get(path, { key: null })).status, 200)
        }
        assertProblem(yield* get("/metrics", { key: null }), 404, "not-found")
      }))
  },
)
