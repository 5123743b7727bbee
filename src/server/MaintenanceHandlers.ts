import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { asProblem } from "./asProblem.ts"
import { Maintenance } from "./Maintenance.ts"

export const MaintenanceHandlers = HttpApiBuilder.group(
  Api,
  "maintenance",
  Effect.fnUntraced(function* (handlers) {
    const maintenance = yield* Maintenance

    return handlers.handleAll({
      deleteExpiredTokens: ({ payload }) =>
        maintenance.deleteExpiredTokens(payload.olderThanDays).pipe(
          asProblem,
          Effect.map((deleted) => ({ deleted })),
        ),
      deleteOldLoginAttempts: ({ payload }) =>
        maintenance.deleteOldLoginAttempts(payload.olderThanDays).pipe(
          asProblem,
          Effect.map((deleted) => ({ deleted })),
        ),
    })
  }),
)
