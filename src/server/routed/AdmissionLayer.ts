import { Context, Effect, Layer } from "effect"
import { HttpMethod } from "effect/http"
import { Admission, LongRunning } from "../../api/Admission.ts"
import { InFlight } from "../../operations/InFlight.ts"

/** Turns requests away when too many are in flight, and lets each have its time. */
export const AdmissionLayer = Layer.effect(
  Admission,
  Effect.gen(function* () {
    const inFlight = yield* InFlight

    return Admission.of((httpEffect, { endpoint }) => {
      const isLong = Context.get(endpoint.annotations, LongRunning)
      const isWrite = HttpMethod.hasBody(endpoint.method)
      return Effect.contextWith((context) =>
        Effect.callback((resume) => {
          const fiber = inFlight.start({
            isLong,
            effect: Effect.provideContext(httpEffect, context),
            answer: resume,
          })
          return isWrite || fiber === undefined
            ? undefined
            : Effect.sync(() => fiber.interruptUnsafe())
        })
      )
    })
  }),
)
