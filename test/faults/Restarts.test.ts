import { assert, layer } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { connect } from "node:net"
import { TestDatabase } from "../support/TestDatabase.ts"
import * as Balancer from "./support/Balancer.ts"
import { makeClient } from "./support/Client.ts"
import { lockTable, query } from "./support/Cluster.ts"
import { verify, verifyAnswers } from "./support/Ledger.ts"
import { underLoad } from "./support/Load.ts"
import * as Proxy from "./support/Proxy.ts"
import * as ServiceProcess from "./support/ServiceProcess.ts"
import { answered, aSignUp } from "./support/Stage.ts"

const startOn = Effect.fnUntraced(function* (variables: Record<string, string> = {}) {
  const { connection } = yield* TestDatabase
  const url = ServiceProcess.databaseUrl(connection)
  return yield* ServiceProcess.start({ DATABASE_URL: url, ...variables })
})

/** Stops a service, and tells how it ended and how many milliseconds that took. */
const stop = Effect.fnUntraced(function* (service: ServiceProcess.ServiceProcess) {
  const before = yield* Clock.currentTimeMillis
  yield* service.signal("SIGTERM")
  const { code } = yield* service.ended
  return { code, millis: (yield* Clock.currentTimeMillis) - before }
})

layer(TestDatabase.layer, { excludeTestServices: true })("a restart", (it) => {
  it.effect("after SIGKILL under load loses nothing that was acknowledged", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const client = yield* makeClient
      const service = yield* startOn()
      const report = yield* underLoad(
        { client, ports: () => [service.port], tolerates: "unavailable" },
        Effect.gen(function* () {
          yield* service.signal("SIGKILL")
          yield* service.ended
          yield* Effect.orDie(startOn({ PORT: String(service.port) }))
        }),
      )
      yield* verify(connection, report)
      yield* verifyAnswers(client, service.port, report)
      assert.isBelow(report.recovery, 5_000)
    }))

  it.effect("of two replicas, one after the other, fails no request", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const client = yield* makeClient
      const balancer = yield* Balancer.make(client)
      const replicas = [yield* startOn(), yield* startOn()]
      for (const { port } of replicas) yield* balancer.add(port)
      const report = yield* underLoad(
        { client, ports: balancer.ports, tolerates: "nothing" },
        Effect.forEach(replicas, (replica) =>
          Effect.gen(function* () {
            const { code, millis } = yield* stop(replica)
            assert.strictEqual(code, 0)
            assert.isBelow(millis, 10_000)
            yield* balancer.add((yield* Effect.orDie(startOn())).port)
          }), { discard: true }),
      )
      yield* verify(connection, report)
    }))
})

layer(TestDatabase.layer, { excludeTestServices: true })("a stop", (it) => {
  it.effect("finishes the write that waits in the database, and answers it", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const client = yield* makeClient
      const service = yield* startOn()
      const ask = query(connection)
      yield* ask(
        `CREATE FUNCTION sleep_a_second() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$`,
        `CREATE TRIGGER sleep_a_second BEFORE INSERT ON users
          FOR EACH ROW EXECUTE FUNCTION sleep_a_second()`,
      )
      const { id, call } = aSignUp()
      const [outcome, { code, millis }] = yield* Effect.all([
        client(service.port, call),
        Effect.andThen(Effect.sleep("300 millis"), stop(service)),
      ], { concurrency: 2 })

      assert.strictEqual(outcome._tag === "Answered" ? outcome.answer.status : outcome._tag, 201)
      assert.strictEqual(code, 0)
      assert.isBelow(millis, 10_000)
      assert.lengthOf(yield* ask(`SELECT FROM users WHERE id = '${id}'`), 1)
    }))

  it.effect("cuts off what takes longer than SHUTDOWN_TIMEOUT, and ends in order", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const client = yield* makeClient
      const service = yield* startOn({
        SHUTDOWN_TIMEOUT: "1s",
        LOCK_TIMEOUT: "20s",
        STATEMENT_TIMEOUT: "20s",
        ANSWER_TIMEOUT: "20s",
      })
      yield* Effect.scoped(Effect.gen(function* () {
        yield* lockTable(connection, "users")
        yield* Effect.forkScoped(client(service.port, aSignUp().call))
        yield* Effect.sleep("300 millis")
        const { code, millis } = yield* stop(service)
        assert.strictEqual(code, 0)
        assert.isBelow(millis, 3_000)
      }))
    }))

  it.effect("does not wait longer for half a request, nor for a network that swallows all", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const proxy = yield* Proxy.make(Number(connection.port))
      const client = yield* makeClient
      const service = yield* ServiceProcess.start({
        DATABASE_URL: ServiceProcess.databaseUrl(connection, proxy.port),
        SHUTDOWN_TIMEOUT: "1s",
      })
      yield* answered({ client, service }, 200, { method: "GET", path: "/readyz" })
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => connect({ host: "127.0.0.1", port: service.port })),
        (socket) => Effect.sync(() => socket.destroy()),
      )
      socket.on("error", () => {})
      socket.write("POST /v1/users HTTP/1.1\r\nHost: local")
      yield* proxy.behave({ _tag: "Blackhole" })
      yield* Effect.forkScoped(client(service.port, aSignUp().call))
      yield* Effect.sleep("300 millis")
      const { code, millis } = yield* stop(service)
      assert.strictEqual(code, 0)
      assert.isBelow(millis, 3_000)
    }))

  it.effect("does not wait for idle connections", () =>
    Effect.gen(function* () {
      const client = yield* makeClient
      const service = yield* startOn()
      yield* answered({ client, service }, 200, { method: "GET", path: "/livez" })
      const { code, millis } = yield* stop(service)
      assert.strictEqual(code, 0)
      assert.isBelow(millis, 5_000)
    }))
})
