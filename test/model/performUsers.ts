/**
 * Calls about users as their repository answers them, in the words of the model.
 */
import { Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../src/domain/Email.ts"
import { GoogleId, UserId } from "../../src/domain/User.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import type { Operation } from "./Operation.ts"
import type { Call } from "./Tables.ts"
import {
  pageJson,
  toChanges,
  toException,
  toPlace,
  toPrecondition,
  toReason,
  toUser,
  userJson,
} from "./translations.ts"
import { createdByHand } from "./usersModel.ts"

type Of<Tag extends Operation["_tag"]> = Extract<Operation, { readonly _tag: Tag }>

export const createUser = Effect.fnUntraced(function* ({ key, user }: Of<"CreateUser">) {
  const users = yield* UserRepository
  const options = key === null ? {} : { idempotencyKey: UserId.make(key) }
  return userJson(yield* users.create(toUser(user), options))
})

export const updateUser = Effect.fnUntraced(function* (
  { id, changes, revokeSessions }: Of<"UpdateUser">,
  call: Call,
) {
  const users = yield* UserRepository
  const updated = yield* users.update(UserId.make(id), toChanges(changes), {
    ...toPrecondition(call),
    ...(revokeSessions === null
      ? {}
      : { revokeSessions: { ...toReason(revokeSessions.reason), ...toException(call) } }),
  })
  return userJson(updated)
})

export const getOrCreateByGoogleId = Effect.fnUntraced(function* (
  { googleId, account }: Of<"GetOrCreateByGoogleId">,
) {
  const users = yield* UserRepository
  const { user, isNew } = yield* users.getOrCreateByGoogleId(GoogleId.make(googleId), {
    ...account,
    email: Email.make(account.email),
  })
  return { user: userJson(user), isNew }
})

export const deleteUser = Effect.fnUntraced(function* ({ id }: Of<"DeleteUser">, call: Call) {
  const users = yield* UserRepository
  yield* users.delete(UserId.make(id), toPrecondition(call))
  return null
})

export const getUser = Effect.fnUntraced(function* ({ id }: Of<"GetUser">) {
  const users = yield* UserRepository
  return Option.getOrNull(Option.map(yield* users.getById(UserId.make(id)), userJson))
})

export const getUserByEmail = Effect.fnUntraced(function* ({ email }: Of<"GetUserByEmail">) {
  const users = yield* UserRepository
  return Option.getOrNull(Option.map(yield* users.getByEmail(Email.make(email)), userJson))
})

export const getUserByGoogleId = Effect.fnUntraced(function* (
  { googleId }: Of<"GetUserByGoogleId">,
) {
  const users = yield* UserRepository
  const user = yield* users.getByGoogleId(GoogleId.make(googleId))
  return Option.getOrNull(Option.map(user, userJson))
})

export const listUsers = Effect.fnUntraced(function* ({ limit }: Of<"ListUsers">, call: Call) {
  const users = yield* UserRepository
  return pageJson(yield* users.list({ limit, after: toPlace(call) }), userJson)
})

export const writeUserByHand = Effect.fnUntraced(function* (
  { id, fullName }: Of<"WriteUserByHand">,
) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql`
    UPDATE users
    SET full_name = ${fullName}, created_at = ${createdByHand}::timestamptz
    WHERE id = ${id}
    RETURNING version::text AS version`
  return row ?? null
})

/** In a transaction that others' calls meet while it is open. */
export const setActiveByHand = Effect.fnUntraced(function* (
  { id, isActive }: Of<"SetActiveByHand">,
) {
  const sql = yield* SqlClient.SqlClient
  return yield* sql.withTransaction(Effect.gen(function* () {
    const [row] = yield* sql`
      UPDATE users
      SET is_active = ${isActive}
      WHERE id = ${id}
      RETURNING version::text AS version`
    yield* Effect.repeat(sql`SELECT`, { times: 9 })
    return row ?? null
  }))
})
