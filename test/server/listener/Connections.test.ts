import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { gzipSync } from "node:zlib"
import { assertInvalid, assertJson, assertProblem, assertRefused } from "../../support/answers.ts"
import { aUserBody, createUser } from "../../support/bodies.ts"
import { get } from "../../support/calls.ts"
import { exchange, open, openHalf, parseAnswers, rawRequest } from "../../support/RawSocket.ts"
import { keyWith, TestService } from "../../support/TestService.ts"

const json = "Content-Type: application/json"
const authorization = `Authorization: Bearer ${keyWith("*")}`

const aBody = () => JSON.stringify(aUserBody())

/** The head of a request that keeps its connection. */
const head = (...lines: ReadonlyArray<string>) => [...lines, "", ""].join("\r\n")

layer(TestService)("connections", (it) => {
  it.effect("answer what is no HTTP request with a problem, and are closed", () =>
    Effect.gen(function* () {
      for (
        const bytes of [
          "nonsense\r\n\r\n",
          "GET\r\n\r\n",
          "GET /livez HTTP/9.9\r\nHost: x\r\n\r\n",
          "GET /livez HTTP/1.1\r\nHost x\r\n\r\n",
          "GET /livez HTTP/1.1\r\n: x\r\n\r\n",
          "GET /livez HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n",
          "GET /livez HTTP/1.1\r\nHost: x\r\nA: \u0000\r\n\r\n",
          "GET /live\u0000z HTTP/1.1\r\nHost: x\r\n\r\n",
          "get /livez HTTP/1.1\r\nHost: x\r\n\r\n",
          "G\u0000T /livez HTTP/1.1\r\nHost: x\r\n\r\n",
          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
          Uint8Array.of(0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9),
        ]
      ) {
        const answers = yield* exchange(bytes)
        assert.lengthOf(answers, 1, String(bytes))
        for (const answer of answers) assertProblem(answer, 400, "invalid-request")
      }
    }))

  it.effect("take nothing that follows what is no HTTP request for a request of another client", () =>
    Effect.gen(function* () {
      const malformed = yield* openHalf
      yield* malformed.send("nonsense\r\n\r\n")
      yield* malformed.ended
      const other = yield* open
      yield* malformed.send(rawRequest("GET /v1/users"))
      // Whatever the service made of that, it has done when this connection is served.
      yield* exchange(rawRequest("GET /livez"))
      yield* other.send(rawRequest("GET /livez"))
      const answers = parseAnswers(yield* other.received)
      assert.deepStrictEqual(answers.map(({ json }) => json), [{ status: "ok" }])
    }))

  it.effect("refuse bodies whose length is told wrongly or twice", () =>
    Effect.gen(function* () {
      const request = (...headers: ReadonlyArray<string>) =>
        rawRequest("POST /v1/users", [json, ...headers], "{}")
      for (
        const bytes of [
          request("Content-Length: two"),
          request("Content-Length: -2"),
          request("Content-Length: 2, 2"),
          request("Content-Length: 2", "Content-Length: 3"),
          request("Content-Length: 99999999999999999999999999"),
          request("Content-Length: 2", "Transfer-Encoding: chunked"),
          request("Transfer-Encoding: chunked"),
          request("Transfer-Encoding: chunked, chunked"),
          request("Transfer-Encoding: xchunked"),
          rawRequest(
            "POST /v1/users",
            [json, "Transfer-Encoding: chunked"],
            "g\r\n{}\r\n0\r\n\r\n",
          ),
          rawRequest(
            "POST /v1/users",
            [json, "Transfer-Encoding: chunked"],
            "-2\r\n{}\r\n0\r\n\r\n",
          ),
          rawRequest(
            "POST /v1/users",
            [json, "Transfer-Encoding: chunked"],
            "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
          ),
          rawRequest(
            "POST /v1/users",
            [json, "Transfer-Encoding: chunked"],
            "1\r\n{}\r\n0\r\n\r\n",
          ),
        ]
      ) {
        const [answer] = yield* exchange(bytes)
        assert.isDefined(answer, bytes)
        if (answer !== undefined) assertRefused(answer)
      }
    }))

  it.effect("that end before the body does leave nothing behind", () =>
    Effect.gen(function* () {
      const user = aUserBody()
      const body = JSON.stringify(user)
      yield* Effect.scoped(Effect.gen(function* () {
        const socket = yield* open
        yield* socket.send(
          rawRequest("POST /v1/users", [json, `Content-Length: ${body.length + 1}`], body),
        )
        yield* socket.end
        for (const answer of parseAnswers(yield* socket.received)) assertRefused(answer)
      }))
      assertProblem(yield* get(`/v1/users/by-email/${user["email"]}`), 404, "user-not-found")
    }))

  it.effect("do not take what follows a body for a part of it", () =>
    Effect.gen(function* () {
      const body = aBody()
      const answers = yield* exchange(
        head(
          "POST /v1/users HTTP/1.1",
          "Host: localhost",
          authorization,
          json,
          `Content-Length: ${body.length}`,
        ),
        `${body}nonsense\r\n\r\n`,
      )
      const [created, malformed, ...others] = answers
      assert.strictEqual(created?.status, 201)
      assert.isDefined(malformed)
      if (malformed !== undefined) assertProblem(malformed, 400, "invalid-request")
      assert.lengthOf(others, 0)
    }))

  it.effect("answer what was asked before they answer what is no HTTP", () =>
    Effect.gen(function* () {
      const request = (method: string, body: string) =>
        head(
          `${method} HTTP/1.1`,
          "Host: localhost",
          authorization,
          json,
          `Content-Length: ${body.length}`,
        ) + body
      for (const garbage of ["x", "\r\n\r\nnonsense\r\n\r\n", "\u0000", "}", "{}{}"]) {
        for (const isFirst of [true, false]) {
          const requests = [
            request("POST /v1/users", aBody()),
            request("GET /v1/users?limit=1", ""),
          ]
          const statuses = [201, 200]
          if (!isFirst) [requests, statuses].forEach((list) => list.reverse())
          const answers = yield* exchange(`${requests.join("")}${garbage}\r\n\r\n`)
          assert.deepStrictEqual(answers.map(({ status }) => status), [...statuses, 400], garbage)
        }
      }
    }))

  it.effect("answer a request whose body is no HTTP once", () =>
    Effect.gen(function* () {
      const chunked = [json, "Transfer-Encoding: chunked"]
      for (const lines of [chunked, ["Content-Type: text/plain", "Transfer-Encoding: chunked"]]) {
        const answers = yield* exchange(
          rawRequest("POST /v1/users", lines, "2\r\n{}\r\nzz\r\n\r\n"),
        )
        assert.lengthOf(answers, 1)
        for (const answer of answers) assertRefused(answer)
      }
    }))

  it.effect("answer pipelined requests in their order", () =>
    Effect.gen(function* () {
      const body = aBody()
      const answers = yield* exchange(
        head("GET /livez HTTP/1.1", "Host: localhost") +
          head(
            "POST /v1/users HTTP/1.1",
            "Host: localhost",
            authorization,
            json,
            `Content-Length: ${body.length}`,
          ) + body +
          head("GET /v1/users/me HTTP/1.1", "Host: localhost", authorization) +
          head("GET /nowhere HTTP/1.1", "Host: localhost") +
          rawRequest("GET /readyz"),
      )
      assert.deepStrictEqual(answers.map(({ status }) => status), [200, 201, 400, 404, 200])
    }))

  it.effect("go on after a refused request whose body was read", () =>
    Effect.gen(function* () {
      const answers = yield* exchange(
        head(
          "POST /v1/users HTTP/1.1",
          "Host: localhost",
          authorization,
          "Content-Type: text/plain",
          "Content-Length: 5",
        ) + "12345" + rawRequest("GET /livez"),
      )
      assert.deepStrictEqual(answers.map(({ status }) => status), [415, 200])
    }))

  it.effect("take requests byte by byte", () =>
    Effect.gen(function* () {
      const [answer] = yield* exchange(...rawRequest("GET /v1/users?limit=1"))
      assert.strictEqual(answer?.status, 200)
    }))

  it.effect("take targets in absolute form, and refuse malformed ones", () =>
    Effect.gen(function* () {
      for (
        const target of [
          "http://localhost/v1/users?limit=1",
          "http://example.com:8080/v1/users",
          "HTTP://LOCALHOST/v1/users",
        ]
      ) {
        const [answer] = yield* exchange(rawRequest(`GET ${target}`))
        assert.strictEqual(answer?.status, 200, target)
      }
      for (
        const target of [
          "http://",
          "http:///v1/users",
          "http://localhost/v1/users/%ff",
          "http://localhost",
          "v1/users",
          "ftp://localhost/v1/users",
          "?limit=1",
          "/v1/users/\\",
          "/v1/users/|",
          "/v1/users/<>",
          '/v1/users/"',
          "/v1/users/\u00e9",
          Buffer.from("/v1/users/é").toString("latin1"),
        ]
      ) {
        const [answer] = yield* exchange(Buffer.from(rawRequest(`GET ${target}`), "latin1"))
        assert.isDefined(answer, target)
        if (answer !== undefined) assertRefused(answer)
      }
    }))

  it.effect("ask for the body of a request that expects to be asked", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(Effect.gen(function* () {
        const body = aBody()
        const socket = yield* open
        yield* socket.send(
          rawRequest("POST /v1/users", [
            json,
            "Expect: 100-continue",
            `Content-Length: ${body.length}`,
          ]),
        )
        yield* socket.waitFor((received) => received.includes("100 Continue\r\n\r\n"))
        yield* socket.send(body)
        const answers = parseAnswers(yield* socket.received)
        assert.deepStrictEqual(answers.map(({ status }) => status), [100, 201])
      }))
    }))

  it.effect("do not ask for a body that is not wanted", () =>
    Effect.gen(function* () {
      const expecting = (line: string, ...headers: ReadonlyArray<string>) =>
        exchange(rawRequest(line, [json, "Expect: 100-continue", ...headers]))
      const [unknown] = yield* expecting("POST /nowhere", "Content-Length: 10")
      assert.strictEqual(unknown?.status, 404)
      const [type] = yield* exchange(
        rawRequest("POST /v1/users", [
          "Content-Type: text/plain",
          "Expect: 100-continue",
          "Content-Length: 10",
        ]),
      )
      assert.strictEqual(type?.status, 415)
    }))

  it.effect("refuse other expectations", () =>
    Effect.gen(function* () {
      const [answer] = yield* exchange(rawRequest("GET /livez", ["Expect: 200-ok"]))
      assert.isDefined(answer)
      if (answer !== undefined) assertProblem(answer, 417, "expectation-failed")
    }))

  it.effect("refuse headers and targets that are too large", () =>
    Effect.gen(function* () {
      for (
        const bytes of [
          rawRequest("GET /livez", [`X-Large: ${"x".repeat(100_000)}`]),
          rawRequest("GET /livez", Array.from({ length: 5000 }, (_, n) => `X-${n}: ${n}`)),
          rawRequest(`GET /v1/users/by-google-id/${"x".repeat(100_000)}`),
          rawRequest(`GET /v1/users?cursor=${"x".repeat(100_000)}`),
        ]
      ) {
        const [answer] = yield* exchange(bytes)
        assert.isDefined(answer)
        if (answer !== undefined) assertProblem(answer, 431, "headers-too-large")
      }
    }))

  it.effect("take one content type, and no content coding", () =>
    Effect.gen(function* () {
      const body = aBody()
      const send = (bytes: string | Uint8Array, ...headers: ReadonlyArray<string>) =>
        exchange(
          rawRequest("POST /v1/users", [...headers, `Content-Length: ${bytes.length}`]),
          bytes,
        )
      const [list] = yield* send(body, `${json}, text/plain`)
      assert.isDefined(list)
      if (list !== undefined) assertProblem(list, 415, "unsupported-media-type")
      for (
        const [bytes, coding] of [
          [gzipSync(body), "gzip"],
          // Said of a body that is none.
          [body, "gzip"],
          [body, "br, gzip"],
          [body, "identity, gzip"],
          [body, ""],
        ] as const
      ) {
        const [answer] = yield* send(bytes, json, `Content-Encoding: ${coding}`)
        assert.isDefined(answer, coding)
        if (answer === undefined) continue
        assertProblem(answer, 415, "unsupported-media-type")
        assert.strictEqual(answer.headers["accept-encoding"], "identity")
      }
      for (const coding of ["identity", "Identity"]) {
        const [answer] = yield* send(aBody(), json, `Content-Encoding: ${coding}`)
        assert.strictEqual(answer?.status, 201, coding)
      }
    }))

  it.effect("take nothing that decides something twice", () =>
    Effect.gen(function* () {
      const body = aBody()
      const key = `Idempotency-Key: ${crypto.randomUUID()}`
      for (
        const [line, path] of [
          [json, "content-type"],
          [authorization, "authorization"],
          [key, "idempotency-key"],
          ["Host: localhost", "host"],
        ] as const
      ) {
        const request = (...headers: ReadonlyArray<string>) =>
          rawRequest("POST /v1/users", [...headers, `Content-Length: ${body.length}`], body)
        // `rawRequest` has a key and a host.
        const twice = path === "authorization" || path === "host" ? [json, line] : [line, line]
        for (const headers of [twice, twice.map((header) => header.toUpperCase())]) {
          const [answer] = yield* exchange(request(...headers))
          assert.isDefined(answer, line)
          if (answer !== undefined) assertInvalid(answer, path)
        }
      }
      assertProblem(yield* get(`/v1/users/${key.slice(-36)}`), 404, "user-not-found")
    }))

  it.effect("refuse a Host header that is none", () =>
    Effect.gen(function* () {
      const withHost = (host: string) =>
        `GET /livez HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
      for (
        const host of [
          "a, b",
          "a,b",
          "a b",
          "a/b",
          "a@b",
          "http://a",
          "a:b",
          "[::1",
          "::1",
          "a:1:2",
          "é",
        ]
      ) {
        const [answer] = yield* exchange(Buffer.from(withHost(host), "latin1"))
        assert.isDefined(answer, host)
        if (answer !== undefined) assertInvalid(answer, "host")
      }
      for (
        const host of [
          "localhost",
          "LOCALHOST:80",
          "127.0.0.1:8080",
          "[::1]:80",
          "a_b.example",
          "a:",
          "",
        ]
      ) {
        const [answer] = yield* exchange(withHost(host))
        assert.strictEqual(answer?.status, 200, host)
      }
    }))

  it.effect("heed a header behind many others, and refuse more than are looked at", () =>
    Effect.gen(function* () {
      const { id } = yield* createUser()
      const body = JSON.stringify({ fullName: "Changed" })
      const patch = (count: number) =>
        exchange(
          rawRequest(`PATCH /v1/users/${id}`, [
            ...Array.from({ length: count }, (_, n) => `X${n}: `),
            json,
            `Content-Length: ${body.length}`,
            'If-Match: "another"',
          ], body),
        )
      const [heeded] = yield* patch(900)
      assert.isDefined(heeded)
      if (heeded !== undefined) assertProblem(heeded, 412, "precondition-failed")
      const [refused] = yield* patch(1_100)
      assert.isDefined(refused)
      if (refused !== undefined) assertProblem(refused, 431, "headers-too-large")
      assert.isNull((yield* get(`/v1/users/${id}`)).json["fullName"])
    }))

  it.effect("are not upgraded, and serve on", () =>
    Effect.gen(function* () {
      for (const protocol of ["websocket", "h2c", "x"]) {
        const upgrading = (line: string, ...headers: ReadonlyArray<string>) =>
          rawRequest(line, [`Upgrade: ${protocol}`, ...headers]).replace(
            "Connection: close",
            "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
          )
        const body = aBody()
        yield* Effect.scoped(Effect.gen(function* () {
          const socket = yield* open
          const parts = [
            upgrading("GET /v1/users?limit=1"),
            upgrading("POST /v1/users", json, `Content-Length: ${body.length}`) + body,
            upgrading("POST /v1/users", json, "Transfer-Encoding: chunked") +
            "2\r\n{}\r\n0\r\n\r\n",
            rawRequest("GET /livez"),
          ]
          for (const [index, part] of parts.entries()) {
            yield* socket.send(part)
            yield* socket.waitFor((received) => received.split("HTTP/1.1 ").length > index + 1)
          }
          const answers = parseAnswers(yield* socket.received)
          assert.deepStrictEqual(answers.map(({ status }) => status), [200, 201, 400, 200])
        }))
      }
    }))

  it.effect("are no tunnels", () =>
    Effect.gen(function* () {
      for (const more of ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"]) {
        const answers = yield* exchange(
          `CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n${more}\r\n`,
          "GET /livez HTTP/1.1\r\n\r\n",
        )
        assert.lengthOf(answers, 1, more)
        for (const answer of answers) assertProblem(answer, 404, "not-found")
      }
    }))

  it.effect("answer only so many requests that are sent ahead, and say where they end", () =>
    Effect.gen(function* () {
      const request = head("GET /livez HTTP/1.1", "Host: localhost")
      const answers = yield* exchange(request.repeat(100))
      assert.isAtLeast(answers.length, 16)
      assert.isBelow(answers.length, 100)
      answers.forEach(({ status, headers }, index) => {
        assert.strictEqual(status, 200)
        assert.strictEqual(headers["connection"] === "close", index === answers.length - 1)
      })
    }))

  it.effect("begin nothing after a request that says that it is the last", () =>
    Effect.gen(function* () {
      const body = aBody()
      const answers = yield* exchange(
        rawRequest("GET /livez") +
          rawRequest("POST /v1/users", [json, `Content-Length: ${body.length}`], body),
      )
      assert.deepStrictEqual(answers.map(({ status }) => status), [200])
      const { email } = JSON.parse(body)
      assertProblem(yield* get(`/v1/users/by-email/${email}`), 404, "user-not-found")
    }))

  it.effect("of HTTP/1.0 are answered and closed", () =>
    Effect.gen(function* () {
      const [answer] = yield* exchange("GET /livez HTTP/1.0\r\n\r\n")
      assert.isDefined(answer)
      if (answer !== undefined) assertJson(answer, 200)
    }))

  // nginx speaks HTTP/1.0 to servers behind it, and could not tell an answer that was cut short.
  it.effect("are told the length of an answer", () =>
    Effect.gen(function* () {
      const { id } = yield* createUser({ fullName: "Ада Лавлейс" })
      const request = rawRequest(`GET /v1/users/${id}`)
      const tells = (bytes: string, count: number) =>
        Effect.map(exchange(bytes), (answers) => {
          assert.lengthOf(answers, count, bytes)
          for (const answer of answers) {
            assertJson(answer, 200)
            assert.strictEqual(
              answer.headers["content-length"],
              `${Buffer.byteLength(answer.text)}`,
            )
          }
        })
      yield* tells(request.replace("HTTP/1.1", "HTTP/1.0"), 1)
      yield* tells(request, 1)
      const pipelined = request.replace(/Connection: close\r\n/i, "")
      yield* tells(pipelined + pipelined + request, 3)
    }))

  it.effect("without a host are refused, unless they speak HTTP/1.0", () =>
    Effect.gen(function* () {
      const [answer] = yield* exchange("GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n")
      assert.isDefined(answer)
      if (answer !== undefined) assertInvalid(answer, "host")
    }))
})
