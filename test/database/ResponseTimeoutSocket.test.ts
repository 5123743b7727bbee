import { assert, describe, it, vi } from "@effect/vitest"
import { Deferred, Duration, Effect } from "effect"
import { createServer, type Socket } from "node:net"
import type { Duplex } from "node:stream"
import * as ResponseTimeoutSocket from "../../src/database/ResponseTimeoutSocket.ts"

/** A server that answers as it is told, and its port. */
const serve = Effect.fnUntraced(function* (onData: (socket: Socket, text: string) => void) {
  const server = createServer((socket) => {
    socket.on("data", (chunk) => onData(socket, chunk.toString()))
    socket.on("error", () => {})
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void))),
  )
  const address = server.address()
  return address !== null && typeof address === "object" ? address.port : 0
})

/** A server that answers all but one text, and tells when that has come. */
const serveReluctantly = Effect.gen(function* () {
  const unanswered = yield* Deferred.make<void>()
  const port = yield* serve((socket, text) => {
    if (text === "unanswered") Deferred.doneUnsafe(unanswered, Effect.void)
    else socket.write(text)
  })
  return { port, unanswered: Deferred.await(unanswered) }
})

/** Keeps the looks at a connection from happening by themselves: the test says how much time it is. */
const heldTimers = Effect.acquireRelease(
  Effect.sync(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })),
  () => Effect.sync(() => void vi.useRealTimers()),
)

const open = (port: number, ssl: boolean, statementTimeout: Duration.Duration) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const stream = ResponseTimeoutSocket.open({ host: "127.0.0.1", port, ssl }, statementTimeout)
      stream.on("error", () => {})
      return stream
    }),
    (stream) => Effect.sync(() => stream.destroy()),
  )

const answerTo = (stream: Duplex, text: string) =>
  Effect.callback<string>((resume) => {
    stream.once("data", (chunk: Uint8Array) => {
      resume(Effect.succeed(new TextDecoder().decode(chunk)))
    })
    stream.write(text)
  })

const closed = (stream: Duplex) =>
  Effect.callback<void>((resume) => {
    if (stream.closed) resume(Effect.void)
    else stream.once("close", () => resume(Effect.void))
  })

const echo = (socket: Socket, text: string) => void socket.write(text)

// The encrypted one goes through a stream of another kind, on which TLS would then be spoken.
describe.each([false, true])("a connection with ssl %s", (ssl) => {
  it.live("carries what is said", () =>
    Effect.gen(function* () {
      const stream = yield* open(yield* serve(echo), ssl, Duration.seconds(5))
      for (const text of ["one", "two", "x".repeat(10_000)]) {
        assert.strictEqual((yield* answerTo(stream, text)).slice(0, 3), text.slice(0, 3))
      }
    }))

  it.live("ends when the server owes an answer for longer than a statement may take", () =>
    Effect.gen(function* () {
      const { port, unanswered } = yield* serveReluctantly
      yield* heldTimers
      const stream = yield* open(port, ssl, Duration.millis(1))
      yield* answerTo(stream, "answered")
      stream.write("unanswered")
      yield* unanswered
      vi.advanceTimersByTime(900)
      assert.isFalse(stream.destroyed)
      vi.advanceTimersByTime(3_100)
      yield* closed(stream)
      assert.isTrue(stream.destroyed)
    }))

  it.live("stays when nothing is owed, and is watched again after that", () =>
    Effect.gen(function* () {
      const { port, unanswered } = yield* serveReluctantly
      yield* heldTimers
      const stream = yield* open(port, ssl, Duration.millis(1))
      yield* answerTo(stream, "one")
      vi.advanceTimersByTime(60_000)
      assert.strictEqual(yield* answerTo(stream, "two"), "two")
      stream.write("unanswered")
      yield* unanswered
      vi.advanceTimersByTime(4_000)
      yield* closed(stream)
      assert.isTrue(stream.destroyed)
    }))

  it.live("ends with the server's end", () =>
    Effect.gen(function* () {
      const port = yield* serve((socket) => void socket.end("bye"))
      const stream = yield* open(port, ssl, Duration.seconds(5))
      assert.strictEqual(yield* answerTo(stream, "hello"), "bye")
      yield* closed(stream)
    }))
})
