import { assert, layer } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { connect } from "node:net"
import { createUser } from "../support/bodies.ts"
import { address, get } from "../support/calls.ts"
import { parseAnswers, rawRequest } from "../support/RawSocket.ts"
import { serviceDatabase, serviceOnDatabase } from "../support/TestService.ts"

const clients = 64

/** Requests after which a client gives up waiting for the end of its connection. */
const patience = 1_000

/** What became of a client that sends a request whenever it has its answer to the one before. */
interface Report {
  readonly answers: number
  /** Whether the last answer said that the connection ends with it. */
  readonly wasTold: boolean
  readonly error: string | undefined
}

/** Sends requests on one connection until that is closed. */
const sendUntilClosed = (
  target: { readonly host: string; readonly port: number },
  request: string,
  onAnswer: () => void,
) =>
  Effect.callback<Report>((resume) => {
    const socket = connect(target)
    let received = ""
    let answers = 0
    let wasTold = false
    let error: string | undefined
    socket.setEncoding("latin1")
    socket.on("connect", () => socket.write(request))
    socket.on("data", (chunk) => {
      received += chunk
      const [head = "", body] = received.split("\r\n\r\n")
      const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1])
      if (body === undefined || body.length < length) return
      const [answer] = parseAnswers(received)
      received = ""
      answers++
      wasTold = answer?.headers["connection"] === "close"
      onAnswer()
      if (answers === patience) socket.destroy()
      else if (!wasTold) socket.write(request)
    })
    socket.on("error", ({ message }) => error = message)
    socket.on("close", () => resume(Effect.succeed({ answers, wasTold, error })))
    return Effect.sync(() => socket.destroy())
  })

const getUser = (id: unknown) =>
  rawRequest(`GET /v1/users/${id}`).replace("Connection: close\r\n", "")

/**
 * A service on a clock that stands still, so that the time of its stop is over when it is told so, and
 * what begins that stop.
 */
const makeService = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const service = serviceOnDatabase({ shutdownDelay: Duration.seconds(1) })
  const services = yield* Layer.buildWithScope(Layer.fresh(service), scope)
  return { services, stop: Effect.forkChild(Scope.close(scope, Exit.void)) }
})

/** Ends the stop that was begun. */
const end = (stop: Fiber.Fiber<void>) =>
  Effect.andThen(TestClock.adjust("1 second"), Fiber.join(stop))

/** Stops a service while many clients are in the midst of their requests; gives what became of them. */
const stopUnderLoad = Effect.gen(function* () {
  const { services, stop } = yield* makeService
  return yield* Effect.gen(function* () {
    const target = yield* address
    const request = getUser((yield* createUser())["id"])
    const underWay = yield* Deferred.make<void>()
    let answers = 0
    const onAnswer = () => {
      if (++answers === 2 * clients) Deferred.doneUnsafe(underWay, Effect.void)
    }
    const loads = yield* Effect.forkChild(
      Effect.all(
        Array.from({ length: clients }, () => sendUntilClosed(target, request, onAnswer)),
        { concurrency: clients },
      ),
    )
    yield* Deferred.await(underWay)
    const stopping = yield* stop
    const reports = yield* Fiber.join(loads)
    yield* end(stopping)
    return reports
  }).pipe(Effect.provideContext(services))
})

for (const isTraced of [false, true]) {
  const name = isTraced ? "a stop, on the router's path," : "a stop, on the fast path,"
  layer(serviceDatabase({ isTraced }))(name, (it) => {
    // Ten times: what is wrong about a stop may go well.
    for (let run = 1; run <= 10; run++) {
      it.effect(`closes no connection under a request (${run})`, () =>
        Effect.gen(function* () {
          const reports = yield* stopUnderLoad
          assert.lengthOf(reports, clients)
          for (const { answers, wasTold, error } of reports) {
            assert.isAbove(answers, 0)
            assert.isUndefined(error)
            assert.isTrue(wasTold)
          }
        }))
    }

    it.effect("answers the first request of a connection that no request came on before", () =>
      Effect.gen(function* () {
        const { services, stop } = yield* makeService
        yield* Effect.gen(function* () {
          const target = yield* address
          const socket = yield* Effect.callback<ReturnType<typeof connect>>((resume) => {
            const socket = connect(target)
            socket.once("connect", () => resume(Effect.succeed(socket)))
          })
          // Accepted by now: whoever came after it is answered.
          yield* get("/livez", { key: null })
          const stopping = yield* stop
          yield* TestClock.adjust("1 second")
          const isRefused = Effect.callback<boolean>((resume) => {
            const late = connect(target)
            late.once("connect", () => resume(Effect.succeed(false)))
            late.once("error", () => resume(Effect.succeed(true)))
            return Effect.sync(() => late.destroy())
          })
          yield* Effect.repeat(isRefused, { until: (is) => is })
          const received = yield* Effect.callback<string>((resume) => {
            let text = ""
            socket.on("data", (chunk) => text += chunk)
            socket.on("close", () => resume(Effect.succeed(text)))
            socket.write("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
          })
          assert.include(received, "HTTP/1.1 200 ")
          assert.match(received, /^connection: close\r$/im)
          yield* TestClock.adjust("500 millis")
          yield* Fiber.join(stopping)
        }).pipe(Effect.provideContext(services))
      }))

    it.effect("ends each connection with its next answer, whatever that is", () =>
      Effect.gen(function* () {
        const { services, stop } = yield* makeService
        yield* Effect.gen(function* () {
          const target = yield* address
          const { id } = yield* createUser()
          const kept = (request: string) => request.replace("Connection: close\r\n", "")
          const expected: ReadonlyArray<readonly [status: number, request: string]> = [
            [200, getUser(id)],
            [404, getUser(crypto.randomUUID())],
            [400, kept(rawRequest("GET /v1/users/me"))],
            [400, kept(rawRequest("GET /v1/users?limit=0"))],
            [200, kept(rawRequest("GET /v1/users?limit=1"))],
            [200, kept(rawRequest("GET /livez"))],
            [200, kept(rawRequest("GET /readyz"))],
            [200, kept(rawRequest("GET /openapi.json"))],
            [200, kept(rawRequest("GET /docs"))],
            [200, kept(rawRequest("HEAD /livez"))],
            [404, kept(rawRequest("GET /nowhere"))],
            [405, kept(rawRequest("PUT /v1/users"))],
            [417, kept(rawRequest("GET /livez", ["Expect: something"]))],
            [
              100,
              kept(
                rawRequest("POST /v1/users", ["Content-Length: 2", "Expect: 100-continue"], "{}"),
              ),
            ],
            [400, kept(rawRequest("POST /v1/users", ["Content-Length: 2"], "{}"))],
            [400, kept(rawRequest("POST /v1/users", ["Transfer-Encoding: chunked"], "0\r\n\r\n"))],
            [401, "GET /v1/users HTTP/1.1\r\nHost: localhost\r\n\r\n"],
            [400, "GET /livez HTTP/1.1\r\n\r\n"],
            [200, "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"],
            [400, "nonsense\r\n\r\n"],
          ]
          // Open before the stop, and not used until then.
          const sockets = yield* Effect.forEach(
            expected,
            () =>
              Effect.callback<ReturnType<typeof connect>>((resume) => {
                const socket = connect(target)
                socket.once("connect", () => resume(Effect.succeed(socket)))
              }),
          )
          const stopping = yield* stop
          yield* Effect.repeat(get("/livez", { key: null }), {
            until: ({ headers }) => headers["connection"] === "close",
          })
          for (const [index, [status, request]] of expected.entries()) {
            const socket = sockets[index] ?? assert.fail()
            const received = yield* Effect.callback<string>((resume) => {
              let text = ""
              socket.on("data", (chunk) => text += chunk)
              socket.on("close", () => resume(Effect.succeed(text)))
              socket.write(request)
            })
            assert.include(received, `HTTP/1.1 ${status} `, request)
            assert.match(received, /^connection: close\r$/im, request)
            assert.notMatch(received, /^connection: keep-alive\r$/im, request)
          }
          yield* end(stopping)
        }).pipe(Effect.provideContext(services))
      }))
  })
}
