/**
 * Clients without a key, each of a kind that holds or spends what others need: connections, memory, the
 * time of the event loop. A kind is one entry of {@link strangers}.
 */
import { connect, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

/** Connects, and closes with the scope; what the service does to a stranger's connection is no matter. */
const open = (port: number, whenConnected: (socket: Socket) => void = () => {}) =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      const socket = connect({ host: "127.0.0.1", port }, () => whenConnected(socket))
      socket.on("error", () => socket.destroy())
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy()),
  ))

/** As many connections, each of which sends these bytes once. `reads`: whether it reads what comes. */
const sending = (count: number, bytes: string, reads = true) => (port: number) =>
  Effect.forEach(Array.from({ length: count }), () =>
    open(port, (socket) => {
      if (reads) socket.resume()
      else socket.pause()
      socket.write(bytes)
    }), { discard: true })

/** A request's head; `lines` follow the request line and `Host`. */
const head = (requestLine: string, ...lines: ReadonlyArray<string>) =>
  [`${requestLine} HTTP/1.1`, "Host: localhost", ...lines, "", ""].join("\r\n")

const json = "Content-Type: application/json"
const chunked = "Transfer-Encoding: chunked"
const upgrade = ["Connection: Upgrade", "Upgrade: x"]
const wrongKey = "Authorization: Bearer wrong"
const post = "POST /v1/users"
const chunk = (size: number) => `${size.toString(16)}\r\n${"x".repeat(size)}\r\n`

/** More connections than the service takes: see the test's MAX_CONNECTIONS. */
const flood = 400

export type Stranger = (port: number) => Effect.Effect<void, never, Scope.Scope>

export const strangers: Readonly<Record<string, Stranger>> = {
  "asks for another protocol and never ends its body": sending(
    100,
    head(post, ...upgrade, chunked) + chunk(16),
  ),
  "asks for HTTP/2 as Java does": sending(
    50,
    head("GET /livez", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"),
  ),
  "asks for a tunnel": sending(50, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n"),
  "stops within the head": sending(100, "POST /v1/users HTTP/1.1\r\nHost: local"),
  "stops within the body": sending(100, head(post, json, "Content-Length: 1000") + "{"),
  "says nothing": sending(100, ""),
  "does not read the reference page": sending(100, head("GET /docs"), false),
  "does not read the OpenAPI document, which it requests many times": sending(
    50,
    head("GET /openapi.json").repeat(50),
    false,
  ),
  "sends ahead without reading": sending(50, head("GET /livez").repeat(2_000), false),
  "connects more often than the service takes": sending(flood, ""),
  "sends a large body that is not JSON": sending(
    50,
    head(post, "Content-Type: text/plain", chunked) + chunk(128 * 1024),
  ),
  "sends a large body without a key": sending(
    50,
    head(post, json, `Content-Length: ${128 * 1024}`) + "x".repeat(128 * 1024),
  ),
  "guesses a key": sending(50, head("GET /v1/users", wrongKey).repeat(20)),
  "sends If-Match with sixteen thousand blanks": sending(
    50,
    head(
      "PATCH /v1/users/00000000-0000-4000-8000-000000000000",
      wrongKey,
      json,
      `If-Match: "1",${" ".repeat(15_000)}x`,
      "Content-Length: 2",
    ) + "{}",
  ),
  "sends headers by the thousand": sending(
    50,
    head("GET /livez", ...Array.from({ length: 1_500 }, () => "a: b"), `If-Match: "1"`),
  ),
  "sends no HTTP": sending(100, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n"),
  "sends a longer body than it announced": sending(
    50,
    `${head("POST /livez", "Content-Length: 1")}xxxx\r\n\r\n`,
  ),
}
