import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { atOnce } from "../../support/atOnce.ts"
import { aTokenBody, aUserBody } from "../../support/bodies.ts"
import { call, get, patch, post } from "../../support/calls.ts"
import { collected } from "../../support/Exporting.ts"
import { type Span, valuesOf } from "../../support/Otlp.ts"

const traceId = "0af7651916cd43dd8448eb211c80319c"
const from = (flags: "00" | "01") => ({
  headers: { traceparent: `00-${traceId}-b7ad6b7169203331-${flags}` },
})

const kinds = { internal: 1, server: 2, client: 3 }
const error = 2

const serversOf = (spans: ReadonlyArray<Span>) => spans.filter(({ kind }) => kind === kinds.server)

/** The spans under another one, however deep. */
const below = (spans: ReadonlyArray<Span>, { spanId }: Span): ReadonlyArray<Span> =>
  spans.filter(({ parentSpanId }) => parentSpanId === spanId)
    .flatMap((child) => [child, ...below(spans, child)])

const only = <A>(items: ReadonlyArray<A>): A => {
  const [first, ...others] = items
  assert(first !== undefined && others.length === 0, `${items.length} instead of one`)
  return first
}

const failOnInsert = SqlClient.SqlClient.use((sql) =>
  Effect.andThen(
    sql`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'Hidden'; END $$`,
    sql`CREATE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION refuse()`,
  )
)

describe("exported telemetry", () => {
  it.live.each(["http/json", "http/protobuf"] as const)(
    "is by the conventions of requests and databases, in %s",
    (protocol) =>
      Effect.gen(function* () {
        const { spans, metrics, logs, resources, result, headers } = yield* collected(
          Effect.gen(function* () {
            const user = yield* post("/v1/users", aUserBody(), from("01"))
            yield* get(`/v1/users/${user.json["id"]}`)
            yield* get(`/v1/users/by-email/nobody@example.com`)
            yield* patch(`/v1/users/${crypto.randomUUID()}`, { fullName: "Hidden" })
            yield* get(`/v1/users/${user.json["id"]}`, { key: "Hidden" })
            yield* get("/Hidden?Hidden=1")
            yield* call("PROPFIND", "/v1/users")
            yield* failOnInsert
            const failed = yield* post("/v1/users", aUserBody())
            return { id: user.headers["x-request-id"], failed: failed.status }
          }),
          {
            OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
            OTEL_EXPORTER_OTLP_HEADERS: "api-key=secret%20one",
            OTEL_SERVICE_NAME: "auth",
            OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test",
          },
        )
        assert.strictEqual(result.failed, 500)
        for (const sent of headers) assert.strictEqual(sent["api-key"], "secret one")

        const servers = serversOf(spans)
        assert.sameMembers(
          servers.map(({ name, attributes, status }) => {
            const told = valuesOf(attributes)
            return [name, told["http.response.status_code"], status.code ?? 0, told["error.type"]]
              .join(" ").trim()
          }),
          [
            "POST /v1/users 201 0",
            "GET /v1/users/{id} 200 0",
            "GET /v1/users/by-email/{email} 404 0",
            "PATCH /v1/users/{id} 404 0",
            "GET /v1/users/{id} 401 0",
            "GET 404 0",
            "HTTP 405 0",
            "POST /v1/users 500 2 500",
          ],
        )
        const created = servers.find(({ traceId: id }) => id === traceId)
        assert(created !== undefined)
        assert.strictEqual(created.parentSpanId, "b7ad6b7169203331")
        const told = valuesOf(created.attributes)
        const { "server.port": port, ...others } = told
        assert.isAbove(Number(port), 0)
        assert.deepStrictEqual(others, {
          "http.request.method": "POST",
          "http.route": "/v1/users",
          "url.scheme": "http",
          "server.address": "127.0.0.1",
          "network.protocol.version": "1.1",
          "http.response.status_code": 201,
          "http.response.header.x-request-id": [result.id],
        })
        const odd = servers.find(({ name }) => name === "HTTP")
        assert.strictEqual(valuesOf(odd?.attributes ?? [])["http.request.method"], "_OTHER")
        assert.strictEqual(
          valuesOf(odd?.attributes ?? [])["http.request.method_original"],
          "PROPFIND",
        )

        const statement = only(below(spans, created).filter(({ kind }) => kind === kinds.client))
        assert.strictEqual(statement.name, "INSERT users")
        const ofStatement = valuesOf(statement.attributes)
        assert.strictEqual(ofStatement["db.system.name"], "postgresql")
        assert.strictEqual(ofStatement["db.query.summary"], "INSERT users")
        assert.match(String(ofStatement["db.namespace"]), /^latchkey_test_/)
        assert.include(String(ofStatement["db.query.text"]), "$1")

        const missed = servers.find(({ name }) => name.startsWith("PATCH"))
        assert(missed !== undefined)
        for (const { status } of below(spans, missed)) assert.notStrictEqual(status.code, error)
        const repository = below(spans, missed).find(({ kind }) => kind === kinds.internal)
        assert.strictEqual(
          valuesOf(repository?.attributes ?? [])["latchkey.refusal"],
          "UserNotFound",
        )

        const broken = servers.find(({ status }) => status.code === error)
        assert(broken !== undefined)
        const [failure] = below(spans, broken).filter(({ kind }) => kind === kinds.client)
        assert.strictEqual(failure?.status.code, error)
        assert.strictEqual(valuesOf(failure?.attributes ?? [])["error.type"], "P0001")
        assert.strictEqual(valuesOf(failure?.attributes ?? [])["db.response.status_code"], "P0001")

        const units = Object.fromEntries(metrics.map(({ name, unit }) => [name, unit]))
        assert.strictEqual(units["http_request_duration_seconds"], "s")
        assert.strictEqual(units["background_task_runs_total"], "{run}")
        for (const resource of resources) {
          assert.strictEqual(resource["service.name"], "auth")
          assert.strictEqual(resource["deployment.environment.name"], "test")
          assert.strictEqual(resource["service.instance.id"], resources[0]?.["service.instance.id"])
        }
        const entry = logs.find((log) => log.traceId === broken.traceId)
        assert.strictEqual(entry?.severityText, "Error")
        // But for what the test itself sent to the database.
        const own = spans.filter(({ attributes }) =>
          !String(valuesOf(attributes)["db.query.text"]).includes("RAISE")
        )
        assert.notInclude(JSON.stringify({ own, metrics, logs }), "Hidden")
        assert.notInclude(JSON.stringify({ own, metrics, logs }), "nobody@example.com")
      }),
    60_000,
  )

  it.live(
    "has no spans of probes, of documents, and of what these ask",
    () =>
      Effect.gen(function* () {
        const { spans, metrics } = yield* collected(Effect.gen(function* () {
          for (const path of ["/livez", "/readyz", "/metrics", "/openapi.json"]) {
            assert.strictEqual((yield* get(path, { key: null })).status, 200, path)
            assert.strictEqual((yield* call("HEAD", path, { key: null })).status, 200, path)
          }
          yield* call("POST", "/livez", { key: null })
        }))
        assert.deepStrictEqual(spans.map(({ name }) => name), ["POST"])
        assert.isNotEmpty(metrics)
      }),
    60_000,
  )

  it.live(
    "links the statement for several requests to them, and them to it",
    () =>
      Effect.gen(function* () {
        const { spans } = yield* collected(Effect.gen(function* () {
          const user = yield* post("/v1/users", aUserBody())
          const id = String(user.json["id"])
          yield* atOnce(
            Array.from({ length: 40 }, () => post("/v1/refresh-tokens", aTokenBody(id))),
          )
        }))
        const batches = spans.filter(({ name }) => name.endsWith(".batch"))
        assert.isNotEmpty(batches)
        const byId = new Map(spans.map((span) => [span.spanId, span]))
        const requests = serversOf(spans).filter(({ name }) => name === "POST /v1/refresh-tokens")
        assert.strictEqual(requests.length, 40)
        for (const batch of batches) {
          const size = valuesOf(batch.attributes)["db.operation.batch.size"]
          assert.strictEqual(batch.links.length, size)
          assert.isTrue(below(spans, batch).some(({ name }) => name === "INSERT refresh_tokens"))
          for (const { spanId, traceId } of batch.links) {
            const linked = byId.get(spanId)
            assert.strictEqual(linked?.traceId, traceId)
            assert.isTrue(linked?.links.some((link) => link.spanId === batch.spanId))
          }
        }
        // Every request leads to the statement that was for it, by itself or in a group.
        for (const request of requests) {
          const own = below(spans, request)
          const linked = own.flatMap(({ links }) => links).flatMap(({ spanId }) => {
            const batch = byId.get(spanId)
            return batch === undefined ? [] : below(spans, batch)
          })
          assert.isTrue([...own, ...linked].some(({ name }) => name === "INSERT refresh_tokens"))
        }
        // No statement is on its own.
        const lost = spans.filter(({ kind, parentSpanId }) =>
          kind === kinds.client && parentSpanId === undefined
        )
        assert.deepStrictEqual(lost.map(({ name }) => name), [])
      }),
    60_000,
  )

  it.live.each(
    [
      ["parentbased_always_on", [true, false, true]],
      ["parentbased_always_off", [true, false, false]],
      ["always_on", [true, true, true]],
    ] as const,
  )(
    "has the traces that %s takes",
    ([sampler, [sampled, unsampled, own]]) =>
      Effect.gen(function* () {
        const { spans } = yield* collected(
          Effect.gen(function* () {
            yield* get("/v1/users", from("01"))
            yield* get("/v1/users/count", from("00"))
            yield* get("/v1/refresh-tokens/none/valid")
          }),
          { OTEL_TRACES_SAMPLER: sampler },
        )
        const has = (route: string) =>
          serversOf(spans).some(({ attributes }) => valuesOf(attributes)["http.route"] === route)
        assert.deepStrictEqual(
          [
            has("/v1/users"),
            has("/v1/users/count"),
            has("/v1/refresh-tokens/{tokenHash}/valid"),
          ],
          [sampled, unsampled, own],
        )
      }),
    60_000,
  )

  it.live(
    "takes the trace from the headers that it is told to look at",
    () =>
      Effect.gen(function* () {
        const b3 = { headers: { b3: `${traceId.replace("0a", "0b")}-b7ad6b7169203331-1` } }
        const multi = {
          headers: {
            "x-b3-traceid": traceId.replace("0a", "0c"),
            "x-b3-spanid": "b7ad6b7169203331",
            "x-b3-sampled": "1",
          },
        }
        const all = Effect.forEach([from("01"), b3, multi], (options) => get("/v1/users", options))
        const takenWith = (propagators: string) =>
          Effect.map(
            collected(all, { OTEL_PROPAGATORS: propagators }),
            ({ spans }) =>
              serversOf(spans).flatMap(({ traceId, parentSpanId }) =>
                parentSpanId === undefined ? [] : traceId.slice(0, 2)
              ).sort(),
          )
        assert.deepStrictEqual(yield* takenWith("tracecontext,baggage"), ["0a"])
        assert.deepStrictEqual(yield* takenWith("b3"), ["0b"])
        assert.deepStrictEqual(yield* takenWith("tracecontext,b3multi"), ["0a", "0c"])
        assert.deepStrictEqual(yield* takenWith("none"), [])
      }),
    60_000,
  )

  it.live(
    "goes where each signal is sent to, compressed if that is asked for",
    () =>
      Effect.gen(function* () {
        const { paths, headers, spans } = yield* collected(
          Effect.forEach(Array.from({ length: 20 }), () => get("/v1/users")),
          {
            OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: "gzip",
            OTEL_METRICS_EXPORTER: "none",
            OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: "5",
            OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: "2",
          },
        )
        assert.include(paths, "/v1/traces")
        assert.notInclude(paths, "/v1/metrics")
        paths.forEach((path, index) =>
          assert.strictEqual(
            headers[index]?.["content-encoding"],
            path === "/v1/traces" ? "gzip" : undefined,
          )
        )
        for (const { attributes, droppedAttributesCount } of serversOf(spans)) {
          assert.deepStrictEqual(valuesOf(attributes), {
            "http.request.method": "GET",
            "http.route": "/v1/u",
          })
          assert.strictEqual(droppedAttributesCount, 6)
        }
      }),
    60_000,
  )
})
