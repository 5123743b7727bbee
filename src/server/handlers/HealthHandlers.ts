import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../../api/Api.ts"
import { NotReady } from "../../api/problems.ts"
import { Metrics } from "../../operations/Metrics.ts"
import { Readiness } from "../../operations/Readiness.ts"

const ok = { status: "ok" } as const

export const HealthHandlers = HttpApiBuilder.group(
  Api,
  "health",
  Effect.fnUntraced(function* (handlers) {
    const readiness = yield* Readiness
    const { format } = yield* Metrics

    return handlers.handleAll({
      live: () => Effect.succeed(ok),
      ready: () =>
        Effect.matchEffect(readiness.check, {
          onSuccess: () => Effect.succeed(ok),
          // No more than its name: anybody may ask, and the sentence names roles and servers.
          onFailure: ({ reason }) => new NotReady({ detail: reason }),
        }),
      metrics: () => format,
    })
  }),
)
