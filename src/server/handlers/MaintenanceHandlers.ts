import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../../api/Api.ts"
import { Maintenance } from "../../operations/Maintenance.ts"
import { toProblem } from "../problems/toProblem.ts"

export const MaintenanceHandlers = HttpApiBuilder.group(
  Api,
  "maintenance",
  Effect.fnUntraced(function* (handlers) {
    const maintenance = yield* Maintenance

    return handlers.handleAll({
      deleteExpiredTokens: ({ payload }) =>
        maintenance.deleteExpiredTokens(payload.olderThanDays).pipe(
          toProblem,
          Effect.map((deleted) => ({ deleted })),
        ),
      deleteOldLoginAttempts: ({ payload }) =>
        maintenance.deleteOldLoginAttempts(payload.olderThanDays).pipe(
          toProblem,
          Effect.map((deleted) => ({ deleted })),
        ),
    })
  }),
)
