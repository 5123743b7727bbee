/**
 * The load generator, a process of its own: reads one run per line from stdin, prints its result as
 * a line of JSON. It lives through all runs, since a new process would be slow at first.
 *
 * Each connection sends a request, waits for the whole answer, and sends the next. An operation of two
 * requests counts as one, and takes as long as both and what is between them. HTTP is read just far
 * enough to know where an answer ends and whether it is a success: the generator shares the machine
 * with what it measures.
 */
import { Buffer } from "node:buffer"
import { createInterface } from "node:readline"
import process from "node:process"
import * as Connections from "./Connections.ts"
import type { LoadResult, LoadRun } from "./Generator.ts"
import { further } from "./growth/operations.ts"
import { apiKey, operations, type Request } from "./operations.ts"
import { cpuSeconds } from "./processTree.ts"

const head = `Host: 127.0.0.1\r\nAuthorization: Bearer ${apiKey}\r\nAccept: application/json\r\n`

const encode = ({ method, path, body }: Request): string => {
  if (body === undefined) {
    return method === "POST"
      ? `POST ${path} HTTP/1.1\r\n${head}Content-Length: 0\r\n\r\n`
      : `${method} ${path} HTTP/1.1\r\n${head}\r\n`
  }
  const json = JSON.stringify(body)
  return `${method} ${path} HTTP/1.1\r\n${head}Content-Type: application/json\r\n` +
    `Content-Length: ${json.length}\r\n\r\n${json}`
}

const contentLength = /\r\ncontent-length: *(\d+)/i

/** The length of the answer that `text` begins with, or none if its head is not complete. */
const lengthOf = (text: string): number | undefined => {
  const end = text.indexOf("\r\n\r\n")
  if (end === -1) return undefined
  if (text.startsWith("204", 9)) return end + 4
  const length = contentLength.exec(text)
  if (length === null || length.index > end) throw new Error("an answer without Content-Length")
  return end + 4 + Number(length[1])
}

const quantile = (sorted: Float64Array, q: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0

/** What an answer has behind its head. */
const bodyOf = (text: string) => JSON.parse(text.slice(text.indexOf("\r\n\r\n") + 4))

/** Longer than any answer. */
const room = 256 * 1024

const execute = (run: LoadRun): LoadResult => {
  const operation = [...operations, ...further].find(({ name }) => name === run.operation)!
  const request = operation.requests(run)
  const followUp = operation.followUp?.requests(run)
  // Made beforehand where each of them costs hashing.
  const encoded = operation.usesUp?.perRequest === 1
    ? Array.from({ length: run.requests }, (_, i) => encode(request(i)))
    : undefined
  const connections = Connections.make(run.port, run.connections)
  const outgoing = Buffer.alloc(room)
  const incoming = Buffer.alloc(room)
  /** What has come of each answer that has not come in one piece. */
  const pieces = new Array<string>(run.connections).fill("")
  const sentAt = new Float64Array(run.connections)
  /** The number of each connection's operation, and whether its first answer has yet to come. */
  const current = new Float64Array(run.connections)
  const isFirst = new Array<boolean>(run.connections).fill(false)
  const latencies: Array<number> = []
  let open = 0
  let sent = 0
  let bytes = 0
  let answered = 0
  let errors = 0
  let firstError: string | undefined

  const fail = (what: string) => {
    errors++
    firstError ??= what
  }

  const send = (k: number) => {
    if (sent >= run.requests) {
      connections.close(k)
      open--
      return
    }
    const i = sent++
    current[k] = i
    isFirst[k] = true
    const length = outgoing.write(encoded?.[i] ?? encode(request(i)), "latin1")
    sentAt[k] = performance.now()
    connections.send(k, outgoing, length)
  }

  const sendNext = (k: number, next: Request) => {
    isFirst[k] = false
    connections.send(k, outgoing, outgoing.write(encode(next), "latin1"))
  }

  const start = (k: number) => {
    if (connections.open(k)) {
      open++
      send(k)
    } else fail("the server takes no connection")
  }

  const receive = (k: number, measuring: boolean) => {
    const length = connections.receive(k, incoming)
    if (length <= 0) {
      // What the server closed is opened again, as a client's pool would.
      fail("the server closed a connection")
      connections.close(k)
      pieces[k] = ""
      open--
      return start(k)
    }
    const text = pieces[k] + incoming.toString("latin1", 0, length)
    const whole = lengthOf(text)
    if (whole === undefined || text.length < whole) {
      pieces[k] = text
      return
    }
    pieces[k] = ""
    bytes += whole
    // The first digit of the status, after "HTTP/1.1 ".
    if (text[9] === "2") {
      if (followUp !== undefined && isFirst[k]) {
        return sendNext(k, followUp(current[k]!, bodyOf(text)))
      }
      if (measuring) latencies.push(performance.now() - sentAt[k]!)
    } else fail(text.slice(0, 400))
    answered++
    send(k)
  }

  /** Load until then, or until every request is answered. */
  const loadUntil = (end: number, measuring: boolean) => {
    for (let now = performance.now(); now < end && open > 0; now = performance.now()) {
      const ready = connections.wait(end - now)
      for (let n = 0; n < ready; n++) receive(connections.ready(n), measuring)
    }
  }

  for (let k = 0; k < run.connections; k++) start(k)
  loadUntil(performance.now() + run.warmUp * 1000, false)
  const startedAt = performance.now()
  const ownCpu = process.cpuUsage()
  const serverCpu = run.pid === undefined ? 0 : cpuSeconds(run.pid)
  loadUntil(startedAt + run.seconds * 1000, true)
  const seconds = (performance.now() - startedAt) / 1000
  const { user, system } = process.cpuUsage(ownCpu)
  const usedUp = sent >= run.requests
  connections.end()
  const sorted = Float64Array.from(latencies).sort()
  return {
    requestsPerSecond: sorted.length / seconds,
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
    usedUp,
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(execute(JSON.parse(line))))
}
