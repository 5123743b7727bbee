/**
 * Requests byte by byte, for what no HTTP client would send.
 */
import { connect, type Socket } from "node:net"
import { Effect, type Scope } from "effect"
import { type Answer, makeAnswer } from "./answers.ts"
import { address } from "./calls.ts"
import { keyWith } from "./TestService.ts"

/** The longest that an answer may take before the service is taken to hang. */
const patience = 300_000

export interface RawSocket {
  readonly send: (bytes: string | Uint8Array) => Effect.Effect<void>
  /** Sends no more, but goes on listening. */
  readonly end: Effect.Effect<void>
  /** Waits until what came back satisfies the predicate. */
  readonly waitFor: (predicate: (received: string) => boolean) => Effect.Effect<string>
  /** All that came back until the server sent no more. */
  readonly ended: Effect.Effect<string>
  /** All that came back until the server closed the connection. */
  readonly received: Effect.Effect<string>
  /** Hangs up without a word. */
  readonly destroy: Effect.Effect<void>
}

type Target = Effect.Services<typeof address> | Scope.Scope

const connected = (socket: Socket) =>
  Effect.callback<void>((resume) => {
    socket.once("connect", () => resume(Effect.void))
    socket.once("error", (error) => resume(Effect.die(error)))
  })

/** A connection to the service; one that is `half` open stays so when the service has ended it. */
const openAs = Effect.fnUntraced(function* ({ half }: { readonly half: boolean }) {
  const socket = yield* Effect.acquireRelease(
    Effect.map(address, (target) => connect({ ...target, allowHalfOpen: half })),
    (socket) => Effect.sync(() => socket.destroy()),
  )
  yield* connected(socket)
  let text = ""
  let ended = false
  let closed = false
  socket.setTimeout(patience, () => socket.destroy(new Error("The service hangs")))
  socket.setEncoding("latin1")
  socket.on("data", (chunk) => text += chunk)
  socket.on("end", () => ended = true)
  socket.on("close", () => closed = true)
  // A server that has refused a request may reset the connection while the rest is being sent.
  let failure: Error | undefined
  socket.on("error", (error) => failure = error)

  const waitFor = (predicate: (received: string) => boolean) =>
    Effect.callback<string>((resume) => {
      const look = () => {
        if (predicate(text)) resume(Effect.succeed(text))
        else if (closed) resume(Effect.die(failure ?? new Error(`Closed after: ${text}`)))
      }
      socket.on("data", look)
      socket.on("end", look)
      socket.on("close", look)
      look()
    })

  const raw: RawSocket = {
    send: (bytes) => Effect.sync(() => socket.write(bytes)),
    end: Effect.sync(() => socket.end()),
    waitFor,
    ended: waitFor(() => ended),
    received: waitFor(() => closed),
    destroy: Effect.sync(() => socket.destroy()),
  }
  return raw
})

/** A connection to the service. */
export const open: Effect.Effect<RawSocket, never, Target> = openAs({ half: false })

/** A connection that the client keeps when the service has ended it, and may go on to send on. */
export const openHalf: Effect.Effect<RawSocket, never, Target> = openAs({ half: true })

const utf8 = (latin1: string) => Buffer.from(latin1, "latin1").toString()

/** Splits what came back into answers. */
export const parseAnswers = (received: string): ReadonlyArray<Answer> => {
  const answers: Array<Answer> = []
  let rest = received
  while (rest !== "") {
    const end = rest.indexOf("\r\n\r\n")
    if (end === -1) throw new Error(`Not an answer: ${rest.slice(0, 200)}`)
    const [statusLine = "", ...lines] = rest.slice(0, end).split("\r\n")
    const headers = Object.fromEntries(lines.map((line) => {
      const colon = line.indexOf(":")
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }))
    const length = Number(headers["content-length"] ?? 0)
    const body = rest.slice(end + 4, end + 4 + length)
    answers.push(makeAnswer(Number(statusLine.split(" ")[1]), headers, utf8(body)))
    rest = rest.slice(end + 4 + length)
  }
  return answers
}

/** Sends bytes on a connection of their own, and gives the answers when the server has closed it. */
export const exchange = (...parts: ReadonlyArray<string | Uint8Array>) =>
  Effect.scoped(Effect.gen(function* () {
    const socket = yield* open
    for (const part of parts) yield* socket.send(part)
    return parseAnswers(yield* socket.received)
  }))

/** A request with a good key, after whose answer the connection is closed. */
export const rawRequest = (
  requestLine: string,
  headers: ReadonlyArray<string> = [],
  body = "",
) =>
  [
    `${requestLine} HTTP/1.1`,
    "Host: localhost",
    `Authorization: Bearer ${keyWith("*")}`,
    "Connection: close",
    ...headers,
    "",
    body,
  ].join("\r\n")
