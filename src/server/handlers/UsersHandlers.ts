import { Effect, Option, Redacted, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Api } from "../../api/Api.ts"
import * as Problem from "../../api/problems.ts"
import { type UserChanges, UserJson, type UsersApi, type UsersToFind } from "../../api/UsersApi.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import type { User } from "../../domain/User.ts"
import type { Readers } from "../../operations/Replicas.ts"
import type { Lookup } from "../../repositories/users/lookUpUsers.ts"
import type { RevokeSessions } from "../../repositories/users/updateUser.ts"
import { UserRepository } from "../../repositories/users/UserRepository.ts"
import { toProblem } from "../problems/toProblem.ts"
import { fromCursor, fromEmailCursor, toEmailCursor, toPageJson } from "./cursors.ts"
import { toEntityTag, toPrecondition } from "./entityTags.ts"
import type { HandlersOf } from "./HandlersOf.ts"
import { makeRead, type Sent } from "./makeRead.ts"

const orNotFound = (found: Effect.Effect<Option.Option<User>, DatabaseUnavailable>) =>
  Effect.flatMap(
    toProblem(found),
    (user) => Option.isSome(user) ? Effect.succeed(user.value) : new Problem.UserNotFound({}),
  )

const encodeUser = Schema.encodeSync(UserJson)

const withETag = (user: User) =>
  HttpApiSchema.withHeaders({ body: user, headers: { etag: toEntityTag(user.version) } })

export const toCredentials = (user: User) => ({
  userId: user.id,
  email: user.email,
  authProvider: user.authProvider,
  passwordHash: user.passwordHash === null ? null : Redacted.value(user.passwordHash),
  googleId: user.googleId,
  isActive: user.isActive,
  version: user.version,
})

const credentialsWithETag = (user: User) =>
  HttpApiSchema.withHeaders({
    body: toCredentials(user),
    headers: { etag: toEntityTag(user.version) },
  })

const created = (user: User) =>
  HttpApiSchema.withHeaders({
    body: user,
    headers: { location: `/v1/users/${user.id}`, etag: toEntityTag(user.version) },
  })

const toRevokeSessions = (
  sessions: (typeof UserChanges.Type)["revokeSessions"],
): RevokeSessions | undefined =>
  sessions === undefined || sessions === null ? undefined : {
    reason: sessions.reason ?? undefined,
    exceptSessionId: sessions.exceptSessionId ?? undefined,
  }

const toLookup = ({ ids, emails, googleIds }: typeof UsersToFind.Type): Lookup =>
  ids ? { ids } : emails ? { emails } : { googleIds: googleIds ?? [] }

/** The handlers of the group, by the names of its endpoints. */
export const makeUsersHandlers = Effect.gen(function* () {
  const users = yield* UserRepository
  const { read } = yield* makeRead

  const getUser = (
    sent: Sent,
    from: (users: Readers["users"]) => Effect.Effect<Option.Option<User>, DatabaseUnavailable>,
  ) => Effect.map(orNotFound(read(sent, ({ users }) => from(users))), withETag)

  const handlers: HandlersOf<typeof UsersApi> = {
    create: ({ payload, headers }) =>
      users.create(payload, { idempotencyKey: headers["idempotency-key"] }).pipe(
        toProblem,
        Effect.map(created),
      ),
    list: Effect.fnUntraced(function* (sent) {
      const { emailPrefix, limit, cursor } = sent.query
      if (emailPrefix !== undefined) {
        const list = `users by e-mail, ${emailPrefix.toLowerCase()}`
        const after = yield* fromEmailCursor(list, cursor)
        const page = yield* toProblem(
          read(sent, ({ users }) => users.listByEmail(emailPrefix, { limit, after })),
        )
        return { items: page.users, nextCursor: toEmailCursor(list, page.next) }
      }
      const after = yield* fromCursor("users", cursor)
      const page = yield* toProblem(read(sent, ({ users }) => users.list({ limit, after })))
      return toPageJson("users", page, (user) => user)
    }),
    count: (sent) => toProblem(read(sent, ({ users }) => users.count(sent.query.exact === true))),
    lookup: (sent) =>
      Effect.map(
        toProblem(read(sent, ({ users }) => users.lookup(toLookup(sent.payload)))),
        (users) => ({ users }),
      ),
    getById: (sent) => getUser(sent, (users) => users.getById(sent.params.id)),
    getByEmail: (sent) => getUser(sent, (users) => users.getByEmail(sent.params.email)),
    getByGoogleId: (sent) => getUser(sent, (users) => users.getByGoogleId(sent.params.googleId)),
    getOrCreateByGoogleId: ({ params, payload }) =>
      users.getOrCreateByGoogleId(params.googleId, {
        ...payload,
        onEmailTaken: payload.onEmailTaken ?? "refuse",
      }).pipe(
        toProblem,
        Effect.map(({ user, isNew }) => {
          // Made here: of two successes with the same body, the endpoint's schemas would take the first.
          const { body, headers } = isNew ? created(user) : withETag(user)
          const status = isNew ? 201 : 200
          return HttpServerResponse.jsonUnsafe(encodeUser(body), { status, headers })
        }),
      ),
    getCredentials: ({ params }) =>
      Effect.map(orNotFound(users.getById(params.id)), credentialsWithETag),
    getCredentialsByEmail: ({ params }) =>
      Effect.map(orNotFound(users.getByEmail(params.email)), credentialsWithETag),
    update: ({ params, payload, headers }) =>
      Effect.flatMap(
        toPrecondition(headers["if-match"]),
        (precondition) => {
          const { revokeSessions, ...changes } = payload
          return users.update(params.id, changes, {
            ...precondition,
            revokeSessions: toRevokeSessions(revokeSessions),
          }).pipe(toProblem, Effect.map(withETag))
        },
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
