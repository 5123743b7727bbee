import { Effect, Option, Redacted } from "effect"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Api } from "../../api/Api.ts"
import * as Problem from "../../api/problems.ts"
import type { UsersApi } from "../../api/UsersApi.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import type { User } from "../../domain/User.ts"
import { UserRepository } from "../../repositories/users/UserRepository.ts"
import { toProblem } from "../problems/toProblem.ts"
import { fromCursor, toPageJson } from "./cursors.ts"
import { toEntityTag, toPrecondition } from "./entityTags.ts"
import type { HandlersOf } from "./HandlersOf.ts"

const orNotFound = (found: Effect.Effect<Option.Option<User>, DatabaseUnavailable>) =>
  Effect.flatMap(
    toProblem(found),
    (user) => Option.isSome(user) ? Effect.succeed(user.value) : new Problem.UserNotFound({}),
  )

const withETag = (user: User) =>
  HttpApiSchema.withHeaders({ body: user, headers: { etag: toEntityTag(user.version) } })

const toCredentials = (user: User) => ({
  userId: user.id,
  email: user.email,
  authProvider: user.authProvider,
  passwordHash: user.passwordHash === null ? null : Redacted.value(user.passwordHash),
  googleId: user.googleId,
  isActive: user.isActive,
})

/** The handlers of the group, by the names of its endpoints. */
export const makeUsersHandlers = Effect.gen(function* () {
  const users = yield* UserRepository

  const handlers: HandlersOf<typeof UsersApi> = {
    create: ({ payload, headers }) =>
      users.create(payload, { idempotencyKey: headers["idempotency-key"] }).pipe(
        toProblem,
        Effect.map((user) =>
          HttpApiSchema.withHeaders({
            body: user,
            headers: { location: `/v1/users/${user.id}`, etag: toEntityTag(user.version) },
          })
        ),
      ),
    list: Effect.fnUntraced(function* ({ query }) {
      const after = yield* fromCursor("users", query.cursor)
      const page = yield* toProblem(users.list({ limit: query.limit, after }))
      return toPageJson("users", page, (user) => user)
    }),
    getById: ({ params }) => Effect.map(orNotFound(users.getById(params.id)), withETag),
    getByEmail: ({ params }) => Effect.map(orNotFound(users.getByEmail(params.email)), withETag),
    getByGoogleId: ({ params }) =>
      Effect.map(orNotFound(users.getByGoogleId(params.googleId)), withETag),
    getCredentials: ({ params }) => Effect.map(orNotFound(users.getById(params.id)), toCredentials),
    getCredentialsByEmail: ({ params }) =>
      Effect.map(orNotFound(users.getByEmail(params.email)), toCredentials),
    update: ({ params, payload, headers }) =>
      Effect.flatMap(
        toPrecondition(headers["if-match"]),
        (precondition) =>
          users.update(params.id, payload, precondition).pipe(toProblem, Effect.map(withETag)),
      ),
    delete: ({ params, headers }) =>
      Effect.flatMap(
        toPrecondition(headers["if-match"]),
        (precondition) => toProblem(users.delete(params.id, precondition)),
      ),
  }
  return handlers
})

export const UsersHandlers = HttpApiBuilder.group(
  Api,
  "users",
  (builder) => Effect.map(makeUsersHandlers, (handlers) => builder.handleAll(handlers)),
)
