import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "node:net"
import { apiKey } from "./support/ServiceProcess.ts"
import { answered, aSignUp, Stage } from "./support/Stage.ts"

/** Sends bytes and nothing more, and gives what came back when the service closed the connection. */
const sendAndWait = Effect.fnUntraced(function* (bytes: string) {
  const { service } = yield* Stage
  return yield* Effect.callback<string>((resume) => {
    const socket = connect({ host: "127.0.0.1", port: service.port })
    let text = ""
    socket.setEncoding("latin1")
    socket.on("data", (chunk) => {
      text += chunk
    })
    socket.on("close", () => resume(Effect.succeed(text)))
    socket.on("error", (error) => resume(Effect.die(error)))
    socket.write(bytes)
    return Effect.sync(() => socket.destroy())
  })
})

const head = [
  "POST /v1/users HTTP/1.1",
  "Host: localhost",
  `Authorization: Bearer ${apiKey}`,
  "Content-Type: application/json",
]

// The other limit is none that could close the connection instead.
const sending = { REQUEST_TIMEOUT: "1s", KEEP_ALIVE_TIMEOUT: "1h" }
layer(Stage.layer(sending), { excludeTestServices: true })("a client that", (it) => {
  it.effect("stops within the headers is told 408 and dropped", () =>
    Effect.gen(function* () {
      const received = yield* sendAndWait("POST /v1/users HTTP/1.1\r\nHost: local")
      assert.match(received, /^HTTP\/1\.1 408 /)
      assert.match(received, /problems\/request-timeout"/)
    }))

  it.effect("stops within the body is told 408 and dropped, and nothing is created", () =>
    Effect.gen(function* () {
      const stage = yield* Stage
      const { id, call } = aSignUp()
      const body = JSON.stringify(call.json)
      const request = [...head, `Idempotency-Key: ${id}`, `Content-Length: ${body.length}`, "", ""]
      const received = yield* sendAndWait(request.join("\r\n") + body.slice(0, -1))
      assert.match(received, /^HTTP\/1\.1 408 /)
      yield* answered(stage, 404, { method: "GET", path: `/v1/users/${id}` })
    }))

  it.effect("says nothing at all is dropped", () =>
    Effect.gen(function* () {
      const received = yield* sendAndWait("")
      assert.match(received, /^(HTTP\/1\.1 408 |$)/)
    }))
})

const idle = { REQUEST_TIMEOUT: "1h", KEEP_ALIVE_TIMEOUT: "1s" }
layer(Stage.layer(idle), { excludeTestServices: true })("an idle client that", (it) => {
  it.effect("keeps its connection after an answer and says no more is dropped", () =>
    Effect.gen(function* () {
      const received = yield* sendAndWait("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
      assert.match(received, /^HTTP\/1\.1 200 /)
      assert.notMatch(received, /408/)
    }))
})
