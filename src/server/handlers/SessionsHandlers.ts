import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../../api/Api.ts"
import type { SessionsApi } from "../../api/SessionsApi.ts"
import { RefreshTokenRepository } from "../../repositories/refreshTokens/RefreshTokenRepository.ts"
import { toProblem } from "../problems/toProblem.ts"
import { fromCursor, toPageJson } from "./cursors.ts"
import type { HandlersOf } from "./HandlersOf.ts"
import { makeRead } from "./makeRead.ts"

/** The handlers of the group, by the names of its endpoints. */
export const makeSessionsHandlers = Effect.gen(function* () {
  const tokens = yield* RefreshTokenRepository
  const { read } = yield* makeRead

  const handlers: HandlersOf<typeof SessionsApi> = {
    list: Effect.fnUntraced(function* (sent) {
      const { params, query } = sent
      const list = `sessions of ${params.id}`
      const after = yield* fromCursor(list, query.cursor)
      const page = yield* toProblem(
        read(sent, ({ tokens }) => tokens.listSessions(params.id, { limit: query.limit, after })),
      )
      return toPageJson(list, page, (session) => session)
    }),
    revoke: ({ params, payload }) =>
      tokens.revokeSession(params.id, params.sessionId, { reason: payload.reason ?? undefined })
        .pipe(toProblem, Effect.map((revoked) => ({ revoked }))),
  }
  return handlers
})

export const SessionsHandlers = HttpApiBuilder.group(
  Api,
  "sessions",
  (builder) => Effect.map(makeSessionsHandlers, (handlers) => builder.handleAll(handlers)),
)
