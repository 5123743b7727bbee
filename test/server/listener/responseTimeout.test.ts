import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { createServer, type Server, type ServerResponse } from "node:http"
import { connect, type Socket } from "node:net"
import { makeLook } from "../../../src/server/listener/responseTimeout.ts"
import { eventually } from "../../support/EmbeddedServer.ts"

/** More than the system takes for a client that does not read. */
const length = 64 * 2 ** 20

/** Sends as many bytes, piece by piece, as the client takes them. */
const sendMuch = (response: ServerResponse) => {
  response.setHeader("content-length", length)
  const piece = Buffer.alloc(64 * 1024)
  let missing = length
  const send = () => {
    while (missing > 0) {
      missing -= piece.length
      if (!response.write(piece)) {
        response.once("drain", send)
        return
      }
    }
    response.end()
  }
  send()
}

/** A server whose clients have a second, and what looks after them. */
const listening = Effect.acquireRelease(
  Effect.callback<{ readonly server: Server; readonly look: (now: number) => void }>((resume) => {
    const server = createServer((request, response) =>
      request.url === "/much" ? sendMuch(response) : response.end("little")
    )
    const look = makeLook(server, 1_000)
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, look })))
  }),
  ({ server }) =>
    Effect.sync(() => {
      server.closeAllConnections()
      server.close()
    }),
)

/** A client that has asked and does not read, and the service's end of its connection. */
const asking = (server: Server, path: string) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly client: Socket; readonly socket: Socket }>((resume) => {
      const address = server.address()
      assert(address !== null && typeof address === "object")
      const client = connect(address.port, "127.0.0.1").pause()
      client.on("error", () => {})
      server.once("connection", (socket) => resume(Effect.succeed({ client, socket })))
      client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    }),
    ({ client }) => Effect.sync(() => client.destroy()),
  )

const isSending = ({ writableNeedDrain }: Socket) => Effect.sync(() => writableNeedDrain)

it.live("a client that takes nothing of its response is cut off after the timeout", () =>
  Effect.gen(function* () {
    const { server, look } = yield* listening
    const { socket } = yield* asking(server, "/much")
    yield* eventually(Effect.suspend(() => isSending(socket)))
    look(0)
    look(999)
    assert.isFalse(socket.destroyed)
    look(1_000)
    assert.isTrue(socket.destroyed)
  }))

it.live("a client that takes some of its response has as much time again", () =>
  Effect.gen(function* () {
    const { server, look } = yield* listening
    const { client, socket } = yield* asking(server, "/much")
    yield* eventually(Effect.suspend(() => isSending(socket)))
    look(0)
    const sent = () => socket.bytesWritten - socket.writableLength
    const before = sent()
    client.resume()
    yield* eventually(Effect.sync(() => sent() > before))
    client.pause()
    yield* eventually(Effect.suspend(() => isSending(socket)))
    look(1_000)
    assert.isFalse(socket.destroyed)
    look(1_999)
    assert.isFalse(socket.destroyed)
  }))

it.live("a client that was sent all, or asks for nothing, has no time limit here", () =>
  Effect.gen(function* () {
    const { server, look } = yield* listening
    const { socket } = yield* asking(server, "/little")
    yield* eventually(Effect.sync(() => socket.bytesWritten > 0 && socket.writableLength === 0))
    look(0)
    look(1_000_000)
    assert.isFalse(socket.destroyed)
  }))
