/**
 * A load generator, run as a process of its own: a number of connections, each of which sends a request
 * as soon as it has the answer to the one before, or after the time that a `Retry-After` asks for, as
 * RFC 9110 (10.2.3) wants clients to. Plain sockets, because what generates the load must
 * cost less than what answers it.
 *
 *     deno run --allow-net bench/limits/closedLoop.ts '{"port":8080,"connections":64,"seconds":5,"request":"GET / HTTP/1.1\r\n…"}'
 *
 * Prints one line of JSON: a {@link LoadResult}.
 */
import { connect } from "node:net"

export interface Load {
  readonly port: number
  readonly connections: number
  readonly seconds: number
  /** A whole request, head and body, sent as it is. */
  readonly request: string
  /** Whether a refused connection asks again at once, whatever `Retry-After` says. Default no. */
  readonly impatient?: boolean
}

export interface LoadResult {
  /** Answers by status; 0 counts connections that broke. */
  readonly statuses: Readonly<Record<string, number>>
  /** Latencies of answers with status 2xx, in milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly max: number
}

const run = (load: Load) =>
  new Promise<LoadResult>((resolve) => {
    const statuses: Record<string, number> = {}
    const latencies: Array<number> = []
    const until = performance.now() + load.seconds * 1000
    let open = load.connections

    const close = () => {
      if (--open > 0) return
      latencies.sort((a, b) => a - b)
      const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? 0
      resolve({ statuses, p50: at(0.5), p99: at(0.99), max: latencies.at(-1) ?? 0 })
    }

    for (let index = 0; index < load.connections; index++) {
      const socket = connect(load.port, "127.0.0.1")
      let sent = 0
      let received = ""
      const send = () => {
        sent = performance.now()
        socket.write(load.request)
      }
      socket.setNoDelay(true)
      socket.setEncoding("latin1")
      socket.on("connect", send)
      socket.on("data", (chunk) => {
        received += chunk
        const head = received.indexOf("\r\n\r\n")
        if (head === -1) return
        const field = (name: string) =>
          Number(new RegExp(`^${name}: (\\d+)`, "im").exec(received.slice(0, head))?.[1] ?? 0)
        const length = field("content-length")
        if (received.length < head + 4 + length) return
        const status = received.slice(9, 12)
        statuses[status] = (statuses[status] ?? 0) + 1
        const pause = load.impatient ? 0 : field("retry-after") * 1000
        received = ""
        const now = performance.now()
        if (status.startsWith("2")) latencies.push(now - sent)
        if (now + pause >= until) socket.end()
        else if (pause > 0) setTimeout(send, pause)
        else send()
      })
      socket.on("error", () => {
        statuses["0"] = (statuses["0"] ?? 0) + 1
      })
      socket.on("close", close)
    }
  })

if (import.meta.main) {
  console.log(JSON.stringify(await run(JSON.parse(Deno.args[0] ?? ""))))
}
