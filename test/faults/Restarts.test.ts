import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { connect } from "node:net"
import { TestDatabase } from "../support/TestDatabase.ts"
import * as Balancer from "./support/Balancer.ts"
import { type Client, makeClient, type Outcome } from "./support/Client.ts"
import { lockTable, query, untilWaiting } from "./support/Cluster.ts"
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

/** Time limits that no test meets: a stop that waited for one would not end. */
const endless = {
  SHUTDOWN_TIMEOUT: "1h",
  KEEP_ALIVE_TIMEOUT: "1h",
  REQUEST_TIMEOUT: "1h",
  ANSWER_TIMEOUT: "1h",
  LOCK_TIMEOUT: "1h",
  STATEMENT_TIMEOUT: "1h",
}

/** Stops a service, and tells with which code it ended. */
const stop = Effect.fnUntraced(function* (service: ServiceProcess.ServiceProcess) {
  yield* service.signal("SIGTERM")
  return (yield* service.ended).code
})

/** Repeats a call until the outcome is as it should be. */
const until = (call: Effect.Effect<Outcome>, isSo: (outcome: Outcome) => boolean) =>
  Effect.repeat(call, { until: isSo, schedule: Schedule.spaced("20 millis") })

/** Waits until the service no longer takes requests. */
const untilStopping = (client: Client, port: number) =>
  until(
    client(port, { method: "GET", path: "/readyz" }),
    (outcome) => outcome._tag !== "Answered" || outcome.answer.status === 503,
  )

/** Waits until one request is under way, beside the one that asks. */
const untilInFlight = (client: Client, port: number) =>
  until(
    client(port, { method: "GET", path: "/metrics" }),
    (outcome) =>
      outcome._tag === "Answered" &&
      /^latchkey_http_requests_in_flight 1$/m.test(outcome.answer.text),
  )

layer(TestDatabase.layer, { excludeTestServices: true })("a restart", (it) => {
  it.effect("after SIGKILL under load loses nothing that was acknowledged", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const client = yield* makeClient
      let service = yield* startOn()
      const report = yield* underLoad(
        { client, ports: () => [service.port], tolerates: "unavailable" },
        () =>
          Effect.gen(function* () {
            yield* service.signal("SIGKILL")
            yield* service.ended
            service = yield* Effect.orDie(startOn())
          }),
      )
      yield* verify(connection, report)
      yield* verifyAnswers(client, service.port, report)
    }))

  it.effect("of two replicas, one after the other, fails no request", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const client = yield* makeClient
      const balancer = yield* Balancer.make(client)
      const replicas = [yield* startOn(endless), yield* startOn(endless)]
      for (const { port } of replicas) yield* balancer.add(port)
      const report = yield* underLoad(
        { client, ports: balancer.ports, tolerates: "nothing" },
        () =>
          Effect.forEach(replicas, (replica) =>
            Effect.gen(function* () {
              assert.strictEqual(yield* stop(replica), 0)
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
      const service = yield* startOn(endless)
      const { id, call } = aSignUp()
      const [outcome, code] = yield* Effect.scoped(Effect.gen(function* () {
        yield* lockTable(connection, "users")
        const signUp = yield* Effect.forkChild(client(service.port, call))
        yield* untilWaiting(connection, "users")
        const stopped = yield* Effect.forkChild(stop(service))
        yield* untilStopping(client, service.port)
        return [signUp, stopped] as const
      })).pipe(
        Effect.flatMap(([signUp, stopped]) =>
          Effect.all([Fiber.join(signUp), Fiber.join(stopped)])
        ),
      )

      assert.strictEqual(outcome._tag === "Answered" ? outcome.answer.status : outcome._tag, 201)
      assert.strictEqual(code, 0)
      assert.lengthOf(yield* query(connection)(`SELECT FROM users WHERE id = '${id}'`), 1)
    }))

  it.effect("cuts off what takes longer than SHUTDOWN_TIMEOUT, and ends in order", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const client = yield* makeClient
      const service = yield* startOn({ ...endless, SHUTDOWN_TIMEOUT: "1s" })
      yield* Effect.scoped(Effect.gen(function* () {
        yield* lockTable(connection, "users")
        yield* Effect.forkScoped(client(service.port, aSignUp().call))
        yield* untilWaiting(connection, "users")
        assert.strictEqual(yield* stop(service), 0)
      }))
    }))

  it.effect("does not wait longer for half a request, nor for a network that swallows all", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const proxy = yield* Proxy.make(connection)
      const client = yield* makeClient
      const service = yield* ServiceProcess.start({
        ...endless,
        DATABASE_URL: ServiceProcess.databaseUrl(connection, proxy.port),
        SHUTDOWN_TIMEOUT: "1s",
      })
      yield* answered({ client, service }, 200, { method: "GET", path: "/readyz" })
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => connect({ host: "127.0.0.1", port: service.port })),
        (socket) => Effect.sync(() => socket.destroy()),
      )
      socket.on("error", () => {})
      yield* Effect.callback<void>((resume) => {
        socket.write("POST /v1/users HTTP/1.1\r\nHost: local", () => resume(Effect.void))
      })
      yield* proxy.behave({ _tag: "Blackhole" })
      yield* Effect.forkScoped(client(service.port, aSignUp().call))
      yield* untilInFlight(client, service.port)
      assert.strictEqual(yield* stop(service), 0)
    }))

  it.effect("does not wait for idle connections", () =>
    Effect.gen(function* () {
      const client = yield* makeClient
      const service = yield* startOn(endless)
      yield* answered({ client, service }, 200, { method: "GET", path: "/livez" })
      assert.strictEqual(yield* stop(service), 0)
    }))
})
