import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { connect, type Socket } from "node:net"
import { eventually } from "../support/EmbeddedServer.ts"
import type { StartOptions } from "../support/Program.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { makeClient } from "./support/Client.ts"
import * as ServiceProcess from "./support/ServiceProcess.ts"
import { answered } from "./support/Stage.ts"

const startWith = Effect.fnUntraced(function* (
  variables: Record<string, string>,
  options: StartOptions = {},
) {
  const { connection } = yield* TestDatabase
  return yield* ServiceProcess.start(
    {
      DATABASE_URL: ServiceProcess.databaseUrl(connection),
      KEEP_ALIVE_TIMEOUT: "10m",
      ...variables,
    },
    options,
  )
})

/** Connections that say nothing; they are there when the system has made them, accepted or not. */
const idleConnections = (port: number, count: number) =>
  Effect.acquireRelease(
    Effect.callback<ReadonlyArray<Socket>>((resume) => {
      let made = 0
      const sockets = Array.from({ length: count }, () =>
        connect({ port, host: "127.0.0.1" }, () => {
          if (++made === count) resume(Effect.succeed(sockets))
        }).on("error", () => {}))
    }),
    (sockets) => Effect.sync(() => sockets.forEach((socket) => socket.destroy())),
  )

/** Whether a request is answered on a connection, or its end comes instead. */
const ask = (socket: Socket) =>
  Effect.callback<boolean>((resume) => {
    const end = (isAnswered: boolean) => () => resume(Effect.succeed(isAnswered))
    socket.once("data", end(true)).once("close", end(false))
    socket.write("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
  })

/** Whether a new connection is answered; one that hears nothing is given up for the next. */
const isAnswered = (port: number) =>
  Effect.acquireUseRelease(
    Effect.sync(() => connect({ port, host: "127.0.0.1" }).on("error", () => {})),
    (socket) =>
      Effect.timeoutOrElse(ask(socket), {
        duration: "1 second",
        orElse: () => Effect.succeed(false),
      }),
    (socket) => Effect.sync(() => socket.destroy()),
  )

/** Whether twenty in a row are: the system spreads them over all threads. */
const areAllAnswered = (port: number) =>
  Effect.reduce(
    Array.from({ length: 20 }),
    () => true,
    (all) => all ? isAnswered(port) : Effect.succeed(false),
  )

/** Lowers the limit of a process that runs: what it has made room for at its start is gone. */
const limitOpenFiles = Effect.fnUntraced(function* (pid: number, count: number) {
  const { success } = yield* Effect.promise(() =>
    new Deno.Command("prlimit", { args: [`--pid=${pid}`, `--nofile=${count}:${count}`] }).output()
  )
  assert.isTrue(success)
})

layer(TestDatabase.layer, { excludeTestServices: true })("a service with few descriptors", (it) => {
  it.effect("takes as many connections as there is room for, and says so", () =>
    Effect.gen(function* () {
      const client = yield* makeClient
      const service = yield* startWith({}, { openFiles: 512 })
      const [, limit, room] =
        /MAX_CONNECTIONS is 10000 .* may have only (\d+) files open: it takes (\d+)/
          .exec(service.output()) ?? []
      assert.strictEqual(limit, "512")
      assert.isAbove(Number(room), 250)
      // Has the service connect to the database, and keep the connection of the client.
      yield* answered({ client, service }, 200, { method: "GET", path: "/readyz" })
      yield* Effect.scoped(Effect.gen(function* () {
        yield* idleConnections(service.port, 600)
        // With all others at the door, what is connected is served, by the database as well.
        yield* answered({ client, service }, 200, { method: "GET", path: "/v1/users" })
        assert.isFalse(yield* isAnswered(service.port))
      }))
      yield* eventually(isAnswered(service.port))
      assert.notInclude(service.output(), "accepts no connections")
    }))

  it.effect.each(["1", "2"])(
    "accepts again after there were none left, threads: %s",
    (THREADS) =>
      Effect.gen(function* () {
        const service = yield* startWith({ THREADS })
        const kept = yield* idleConnections(service.port, 5)
        const areKept = Effect.map(
          Effect.forEach(kept, ask),
          (answered) => answered.every((is) => is),
        )
        assert.isTrue(yield* areKept)
        yield* limitOpenFiles(service.pid, 64)
        yield* Effect.scoped(Effect.andThen(
          idleConnections(service.port, 100),
          eventually(Effect.map(isAnswered(service.port), (is) => !is)),
        ))
        yield* eventually(areAllAnswered(service.port))
        assert.include(service.output(), "The listener accepts no connections; listening again")
        assert.isTrue(yield* areKept)
        yield* service.signal("SIGTERM")
        assert.strictEqual((yield* service.ended).code, 0)
      }),
  )
})
