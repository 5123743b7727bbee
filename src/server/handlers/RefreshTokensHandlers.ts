import { Effect, Option } from "effect"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Api } from "../../api/Api.ts"
import * as Problem from "../../api/problems.ts"
import type { RefreshTokensApi } from "../../api/RefreshTokensApi.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import type { RefreshToken } from "../../domain/RefreshToken.ts"
import { RefreshTokenRepository } from "../../repositories/refreshTokens/RefreshTokenRepository.ts"
import { toProblem } from "../problems/toProblem.ts"
import { fromCursor, toPageJson } from "./cursors.ts"
import type { HandlersOf } from "./HandlersOf.ts"

/** The database's verdict, so that every route agrees at every instant. */
const toJson = (token: RefreshToken) => ({ ...token, isValid: token.wasValid })

const orNotFound = (found: Effect.Effect<Option.Option<RefreshToken>, DatabaseUnavailable>) =>
  Effect.flatMap(
    toProblem(found),
    (token) =>
      Option.isSome(token)
        ? Effect.succeed(toJson(token.value))
        : new Problem.RefreshTokenNotFound({}),
  )

const created = (token: RefreshToken) =>
  HttpApiSchema.withHeaders({
    body: toJson(token),
    headers: { location: `/v1/refresh-tokens/${encodeURIComponent(token.tokenHash)}` },
  })

const referencedUserNotFound = () => new Problem.ReferencedUserNotFound({})

/** The handlers of the group, by the names of its endpoints. */
export const makeRefreshTokensHandlers = Effect.gen(function* () {
  const tokens = yield* RefreshTokenRepository

  const handlers: HandlersOf<typeof RefreshTokensApi> = {
    create: ({ payload, headers }) =>
      tokens.create(payload, { idempotencyKey: headers["idempotency-key"] }).pipe(
        toProblem,
        Effect.catchTag("UserNotFound", referencedUserNotFound),
        Effect.map(created),
      ),
    getByTokenHash: ({ params }) => orNotFound(tokens.getByTokenHash(params.tokenHash)),
    getValidByTokenHash: ({ params }) => orNotFound(tokens.getValidByTokenHash(params.tokenHash)),
    revoke: ({ params }) => Effect.map(toProblem(tokens.revoke(params.tokenHash)), toJson),
    rotate: ({ params, payload, headers }) =>
      tokens.rotate(params.tokenHash, payload, { idempotencyKey: headers["idempotency-key"] })
        .pipe(
          toProblem,
          Effect.map(created),
        ),
    listForUser: Effect.fnUntraced(function* ({ params, query }) {
      const list = `tokens of ${params.id}, active: ${query.active ?? "either"}`
      const after = yield* fromCursor(list, query.cursor)
      const page = yield* toProblem(
        tokens.listForUser(params.id, { active: query.active, limit: query.limit, after }),
      )
      return toPageJson(list, page, toJson)
    }),
    revokeAllForUser: ({ params, payload }) =>
      tokens.revokeAllForUser(params.id, {
        exceptTokenHash: payload.exceptTokenHash ?? undefined,
      }).pipe(toProblem, Effect.map((revoked) => ({ revoked }))),
  }
  return handlers
})

export const RefreshTokensHandlers = HttpApiBuilder.group(
  Api,
  "refreshTokens",
  (builder) => Effect.map(makeRefreshTokensHandlers, (handlers) => builder.handleAll(handlers)),
)
