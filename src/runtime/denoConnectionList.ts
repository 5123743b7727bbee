/**
 * Spares the service what Deno's `node:http` does with each request to keep time limits.
 *
 * Its list of connections, kept for the time limits of requests, is a `Map` that loses and gets an
 * entry with every request. V8 replaces the table of such a map every few dozen changes, and a
 * replaced table that has grown old keeps the requests that were in it, with all that they refer to,
 * until the next full collection: minor ones then take milliseconds instead of a tenth of one. Here
 * an entry stays for as long as its connection does, and says since when no request is under way.
 *
 * So the time limit of idle connections needs no timers of its own, which would be started anew with
 * each answer and stopped with each request: the list is looked at once a second.
 *
 * Relies on Deno's `ConnectionsList` being a property of the server, with the members below. Checked
 * with Deno 2.9.6. Gain, guard and removal: docs/performance.md.
 */
import { Predicate } from "effect"
import type { IncomingMessage, Server } from "node:http"
import type { Socket } from "node:net"
import { report } from "./patches.ts"

interface Entry {
  readonly headersCompleted: boolean
  readonly startTime: number
  readonly req: IncomingMessage | null
}

/** The part of Deno's `ConnectionsList` (`node:_http_server`) that this relies on. */
interface ConnectionsList {
  readonly _active: Map<Socket, Entry>
  popActive: (socket: Socket) => void
  popActiveIfReq: (socket: Socket, request: IncomingMessage) => void
}

const hasMethods = (value: unknown, names: ReadonlyArray<string>) =>
  names.every((name) => Predicate.hasProperty(value, name) && Predicate.isFunction(value[name]))

const isConnectionsList = (value: unknown): value is ConnectionsList =>
  hasMethods(value, ["popActive", "popActiveIfReq"]) && Predicate.hasProperty(value, "_active") &&
  hasMethods(value._active, ["has", "get", "set"])

/** No request: none that has begun, so none that can be late. */
class Idle implements Entry {
  readonly headersCompleted = true
  readonly startTime = Infinity
  readonly req = null
  readonly since = performance.now()
}

/** Milliseconds between two looks at the list. */
const interval = 1_000

/**
 * Milliseconds that an idle connection is kept beyond what its client was told: one that sends its
 * next request at the last moment must not find the connection closed.
 */
const grace = 1_000

/** Closes connections that have been idle for longer than the server's `keepAliveTimeout`. */
const closeIdle = (server: Server, entries: ReadonlyMap<Socket, Entry>) => {
  const latest = performance.now() - server.keepAliveTimeout - grace
  entries.forEach((entry, socket) => {
    if (entry instanceof Idle && entry.since <= latest) socket.destroy()
  })
}

/**
 * Patches a listening server, and returns a function that stops its timer; undefined where `node:http`
 * is made otherwise, so that nothing was patched.
 */
export const patchConnectionList = (server: Server): (() => void) | undefined => {
  const list = Object.getOwnPropertySymbols(server)
    .map((symbol): unknown => Reflect.get(server, symbol))
    .find(isConnectionsList)
  report("connection-list", list !== undefined)
  if (list === undefined) return undefined
  const entries = list._active
  list.popActive = (socket) => {
    if (entries.has(socket)) entries.set(socket, new Idle())
  }
  list.popActiveIfReq = (socket, request) => {
    if (entries.get(socket)?.req === request) entries.set(socket, new Idle())
  }
  server.on("connection", (socket) => {
    // Node calls it for nothing but the time limit of idle connections.
    socket.setTimeout = () => socket
  })
  const timer = setInterval(closeIdle, interval, server, entries)
  return () => clearInterval(timer)
}
