/**
 * The load generator, a process of its own: reads one run per line from stdin, prints its result as
 * a line of JSON. It lives through all runs, since a new process would be slow at first.
 *
 * Each connection sends a request, waits for the whole answer, and sends the next. HTTP is read just
 * far enough to know where an answer ends and whether it is a success: the generator shares the
 * machine with what it measures.
 */
import { Buffer } from "node:buffer"
import { connect, type Socket } from "node:net"
import { createInterface } from "node:readline"
import process from "node:process"
import type { LoadResult, LoadRun } from "./Generator.ts"
import { apiKey, operations, type Request } from "./operations.ts"
import { cpuSeconds } from "./processTree.ts"

const head = `Host: 127.0.0.1\r\nAuthorization: Bearer ${apiKey}\r\nAccept: application/json\r\n`

const encode = ({ method, path, body }: Request): string => {
  if (body === undefined) {
    return method === "GET"
      ? `GET ${path} HTTP/1.1\r\n${head}\r\n`
      : `POST ${path} HTTP/1.1\r\n${head}Content-Length: 0\r\n\r\n`
  }
  const json = JSON.stringify(body)
  return `${method} ${path} HTTP/1.1\r\n${head}Content-Type: application/json\r\n` +
    `Content-Length: ${json.length}\r\n\r\n${json}`
}

const endOfHead = Buffer.from("\r\n\r\n")
const contentLength = /\r\ncontent-length: *(\d+)/i

/** The length of the answer at the start of `bytes`, or none if its head is not complete. */
const lengthOf = (bytes: Buffer): number | undefined => {
  const end = bytes.indexOf(endOfHead)
  if (end === -1) return undefined
  const length = contentLength.exec(bytes.toString("latin1", 0, end))
  if (length === null) throw new Error("an answer without Content-Length")
  return end + endOfHead.length + Number(length[1])
}

const quantile = (sorted: Float64Array, q: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0

const execute = (run: LoadRun) =>
  new Promise<LoadResult>((resolve) => {
    const operation = operations.find(({ name }) => name === run.operation)!
    const request = operation.requests(run)
    // Made beforehand where they cannot be repeated anyway and cost hashing.
    const encoded = operation.tokens > 0
      ? Array.from({ length: run.requests }, (_, i) => encode(request(i)))
      : undefined
    const sockets = new Set<Socket>()
    const latencies: Array<number> = []
    let sent = 0
    let bytes = 0
    let answered = 0
    let errors = 0
    let firstError: string | undefined
    let phase: "warming up" | "measuring" | "done" = "warming up"
    let startedAt = 0
    let serverCpu = 0
    let ownCpu = process.cpuUsage()

    const fail = (what: string) => {
      errors++
      firstError ??= what
    }

    const finish = () => {
      if (phase === "done") return
      clearTimeout(end)
      const seconds = (performance.now() - startedAt) / 1000
      const { user, system } = process.cpuUsage(ownCpu)
      const measured = phase === "measuring"
      phase = "done"
      for (const socket of sockets) socket.destroy()
      const sorted = Float64Array.from(latencies).sort()
      resolve({
        // A run that used up its requests while it warmed up has measured nothing.
        requestsPerSecond: measured ? sorted.length / seconds : 0,
        p50: quantile(sorted, 0.5),
        p99: quantile(sorted, 0.99),
        cpu: run.pid === undefined || sorted.length === 0
          ? undefined
          : (cpuSeconds(run.pid) - serverCpu) / sorted.length * 1000,
        generatorCpu: (user + system) / 1000 / sorted.length,
        bytesPerRequest: bytes / answered,
        answered,
        errors,
        firstError,
      })
    }

    const open = () => {
      const socket = connect({ host: "127.0.0.1", port: run.port, noDelay: true })
      let pending: Buffer | undefined
      let sentAt = 0
      const send = () => {
        if (phase === "done") return
        if (sent >= run.requests) {
          socket.destroy()
          sockets.delete(socket)
          if (sockets.size === 0) finish()
          return
        }
        const i = sent++
        sentAt = performance.now()
        socket.write(encoded?.[i] ?? encode(request(i)), "latin1")
      }
      sockets.add(socket)
      socket.on("connect", send)
      socket.on("data", (chunk: Buffer) => {
        if (phase === "done") return
        pending = pending === undefined ? chunk : Buffer.concat([pending, chunk])
        const length = lengthOf(pending)
        if (length === undefined || pending.length < length) return
        // The first digit of the status, after "HTTP/1.1 ".
        if (pending[9] === 0x32) {
          if (phase === "measuring") latencies.push(performance.now() - sentAt)
        } else fail(pending.toString("latin1", 0, 400))
        bytes += length
        answered++
        pending = undefined
        send()
      })
      socket.on("error", (error) => fail(error.message))
      socket.on("close", () => {
        // What the server closed is opened again, as a client's pool would.
        if (sockets.delete(socket) && phase !== "done") {
          fail("the server closed a connection")
          setTimeout(open, 10)
        }
      })
    }

    const measure = () => {
      phase = "measuring"
      startedAt = performance.now()
      ownCpu = process.cpuUsage()
      serverCpu = run.pid === undefined ? 0 : cpuSeconds(run.pid)
      end = setTimeout(finish, run.seconds * 1000)
    }
    let end: ReturnType<typeof setTimeout>
    if (run.warmUp > 0) end = setTimeout(measure, run.warmUp * 1000)
    else measure()
    for (let i = 0; i < run.connections; i++) open()
  })

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await execute(JSON.parse(line))))
}
