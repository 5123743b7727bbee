import { Context, Effect, Layer } from "effect"
import { HttpMethod, HttpServerRequest } from "effect/http"
import { Admission, LongRunning } from "../../api/Admission.ts"
import { InFlight } from "../../operations/InFlight.ts"
import { Replicas } from "../../operations/Replicas.ts"
import { tellPosition, writes } from "../positions.ts"
import { nodeOf } from "../requestRecord.ts"

/** Turns requests away when too many are in flight, and lets each have its time. */
export const AdmissionLayer = Layer.effect(
  Admission,
  Effect.gen(function* () {
    const inFlight = yield* InFlight
    const replicas = yield* Replicas

    return Admission.of((httpEffect, { endpoint }) => {
      const isLong = Context.get(endpoint.annotations, LongRunning)
      const isWrite = HttpMethod.hasBody(endpoint.method)
      const work = replicas !== undefined && writes(endpoint)
        ? Effect.flatMap(
          HttpServerRequest.HttpServerRequest,
          (request) => tellPosition(httpEffect, replicas, nodeOf(request).response),
        )
        : httpEffect
      return Effect.contextWith((context) =>
        Effect.callback((resume) => {
          const fiber = inFlight.start({
            isLong,
            effect: Effect.provideContext(work, context),
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
