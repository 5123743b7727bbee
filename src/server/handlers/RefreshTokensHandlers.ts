import { Effect, Option } from "effect"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Api } from "../../api/Api.ts"
import * as Problem from "../../api/problems.ts"
import type { RefreshTokensApi } from "../../api/RefreshTokensApi.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import type { RefreshToken, TokenHash } from "../../domain/RefreshToken.ts"
import type { Readers } from "../../operations/Replicas.ts"
import { RefreshTokenRepository } from "../../repositories/refreshTokens/RefreshTokenRepository.ts"
import type { TokenWithUser } from "../../repositories/refreshTokens/tokenWithUser.ts"
import { toProblem } from "../problems/toProblem.ts"
import { fromCursor, toPageJson } from "./cursors.ts"
import type { HandlersOf } from "./HandlersOf.ts"
import { makeRead, type Sent } from "./makeRead.ts"
import { makeRequireScope } from "./requireScope.ts"

/** The database's verdict, so that every route agrees at every instant. */
export const toJson = (token: RefreshToken) => ({ ...token, isValid: token.wasValid })

const withUserToJson = ({ token, user }: TokenWithUser) => ({ ...toJson(token), user })

const orNotFound = <A, B>(
  found: Effect.Effect<Option.Option<A>, DatabaseUnavailable>,
  toJson: (found: A) => B,
) =>
  Effect.flatMap(
    toProblem(found),
    (token) =>
      Option.isSome(token)
        ? Effect.succeed(toJson(token.value))
        : new Problem.RefreshTokenNotFound({}),
  )

const created = <Body extends { readonly tokenHash: TokenHash }>(body: Body) =>
  HttpApiSchema.withHeaders({
    body,
    headers: { location: `/v1/refresh-tokens/${encodeURIComponent(body.tokenHash)}` },
  })

const referencedUserNotFound = () => new Problem.ReferencedUserNotFound({})

/** The handlers of the group, by the names of its endpoints. */
export const makeRefreshTokensHandlers = Effect.gen(function* () {
  const tokens = yield* RefreshTokenRepository
  const { read, readStrictly } = yield* makeRead
  const requireScope = yield* makeRequireScope

  /** Each of them says whether the token is valid. */
  const getToken = <A, B>(
    sent: Sent,
    from: (tokens: Readers["tokens"]) => Effect.Effect<Option.Option<A>, DatabaseUnavailable>,
    toJson: (found: A) => B,
  ) => orNotFound(readStrictly(sent, ({ tokens }) => from(tokens)), toJson)

  const handlers: HandlersOf<typeof RefreshTokensApi> = {
    create: ({ payload, headers }) =>
      tokens.create(payload, { idempotencyKey: headers["idempotency-key"] }).pipe(
        toProblem,
        Effect.catchTag("UserNotFound", referencedUserNotFound),
        Effect.map((token) => created(toJson(token))),
      ),
    getByTokenHash: (sent) =>
      getToken(sent, (tokens) => tokens.getByTokenHash(sent.params.tokenHash), toJson),
    getValidByTokenHash: (sent) => {
      const { tokenHash } = sent.params
      return sent.query.include === undefined
        ? getToken(sent, (tokens) => tokens.getValidByTokenHash(tokenHash), toJson)
        : Effect.andThen(
          requireScope(sent, "users:read"),
          getToken(sent, (tokens) => tokens.getValidWithUser(tokenHash), withUserToJson),
        )
    },
    revoke: ({ params, payload }) =>
      tokens.revoke(params.tokenHash, { reason: payload.reason ?? undefined }).pipe(
        toProblem,
        Effect.map(toJson),
      ),
    rotate: (sent) => {
      const { graceSeconds, onReuse, ...successor } = sent.payload
      const { tokenHash } = sent.params
      const options = {
        idempotencyKey: sent.headers["idempotency-key"],
        graceSeconds: graceSeconds ?? undefined,
        onReuse: onReuse ?? undefined,
      }
      return sent.query.include === undefined
        ? tokens.rotate(tokenHash, successor, options).pipe(
          toProblem,
          Effect.map((token) => created(toJson(token))),
        )
        : Effect.andThen(
          requireScope(sent, "users:read"),
          tokens.rotateWithUser(tokenHash, successor, options).pipe(
            toProblem,
            Effect.map((rotated) => created(withUserToJson(rotated))),
          ),
        )
    },
    listForUser: Effect.fnUntraced(function* (sent) {
      const { params, query } = sent
      const list = `tokens of ${params.id}, active: ${query.active ?? "either"}`
      const after = yield* fromCursor(list, query.cursor)
      const page = yield* toProblem(
        read(
          sent,
          ({ tokens }) =>
            tokens.listForUser(params.id, { active: query.active, limit: query.limit, after }),
        ),
      )
      return toPageJson(list, page, toJson)
    }),
    revokeAllForUser: ({ params, payload }) =>
      tokens.revokeAllForUser(params.id, {
        exceptTokenHash: payload.exceptTokenHash ?? undefined,
        exceptSessionId: payload.exceptSessionId ?? undefined,
        reason: payload.reason ?? undefined,
      }).pipe(toProblem, Effect.map((revoked) => ({ revoked }))),
  }
  return handlers
})

export const RefreshTokensHandlers = HttpApiBuilder.group(
  Api,
  "refreshTokens",
  (builder) => Effect.map(makeRefreshTokensHandlers, (handlers) => builder.handleAll(handlers)),
)
