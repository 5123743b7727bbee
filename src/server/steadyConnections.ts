/**
 * Spares the collector of garbage what Deno's `node:http` does to it with each request.
 *
 * Its list of connections, kept for the time limits of requests, is a `Map` that loses and gets an
 * entry with every request. V8 replaces the table of such a map every few dozen changes, and a
 * replaced table that has grown old keeps the requests that were in it, with all that they refer to,
 * until the next full collection: minor ones then take milliseconds instead of a tenth of one. Here
 * an entry stays for as long as its connection does, and says when no request is under way.
 */
import { Predicate } from "effect"
import type { IncomingMessage, Server } from "node:http"
import type { Socket } from "node:net"

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
const idle: Entry = { headersCompleted: true, startTime: Infinity, req: null }

/**
 * Does so for a server that listens, and says whether it could: with a `node:http` that is made
 * otherwise, nothing changes.
 */
export const keepConnectionsSteady = (server: Server): boolean => {
  const list = Object.getOwnPropertySymbols(server)
    .map((symbol): unknown => Reflect.get(server, symbol))
    .find(isConnectionsList)
  if (list === undefined) return false
  const entries = list._active
  list.popActive = (socket) => {
    if (entries.has(socket)) entries.set(socket, idle)
  }
  list.popActiveIfReq = (socket, request) => {
    if (entries.get(socket)?.req === request) entries.set(socket, idle)
  }
  return true
}
