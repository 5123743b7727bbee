import { assert, describe, layer } from "@effect/vitest"
import { ByteSize, Effect } from "effect"
import { assertProblem } from "../support/answers.ts"
import { get } from "../support/calls.ts"
import * as RawSocket from "../support/RawSocket.ts"
import { testService } from "../support/TestService.ts"

describe("limits that are configured", () => {
  layer(testService({ headerLimit: ByteSize.kibibytes(4) }), { excludeTestServices: true })(
    "headers",
    (it) => {
      it.effect("up to the limit are read, beyond it they are refused", () =>
        Effect.gen(function* () {
          const padded = (length: number) =>
            get("/v1/users", { headers: { "x-pad": "x".repeat(length) } })
          assert.strictEqual((yield* padded(3_000)).status, 200)
          assertProblem(yield* padded(5_000), 431, "headers-too-large")
        }))
    },
  )

  layer(testService({ maxConnections: 2 }), { excludeTestServices: true })("connections", (it) => {
    it.effect("beyond the limit are closed without an answer, and room is made by those that end", () =>
      Effect.gen(function* () {
        const request = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
        const isAnswered = (text: string) => text.includes('{"status":"ok"}')
        const first = yield* RawSocket.open
        const second = yield* RawSocket.open
        yield* Effect.forEach(
          [first, second],
          (socket) => Effect.andThen(socket.send(request), socket.waitFor(isAnswered)),
        )

        const third = yield* RawSocket.open
        assert.strictEqual(yield* third.received, "")

        yield* first.destroy
        const answered = Effect.gen(function* () {
          const socket = yield* RawSocket.open
          yield* socket.send(request)
          return yield* socket.waitFor(isAnswered)
        }).pipe(Effect.scoped)
        // Until the service has noticed that the first one is gone.
        yield* Effect.retry(Effect.catchDefect(answered, Effect.fail), { times: 100 })
      }))
  })
})
