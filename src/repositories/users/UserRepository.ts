/**
 * User accounts in PostgreSQL.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { makeBatchedLookup } from "../../database/batching/batchedLookup.ts"
import { traced } from "../../database/traced.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import type { Email } from "../../domain/Email.ts"
import type { IdempotencyKeyReused } from "../../domain/IdempotencyKey.ts"
import type { Page, Place } from "../../domain/Page.ts"
import {
  GoogleId,
  StoredUserId,
  User,
  type UserId,
  UserNotFound,
  type Version,
  VersionMismatch,
} from "../../domain/User.ts"
import { type CreateUserOptions, makeCreateUser } from "./createUser.ts"
import { makeDeleteUser } from "./deleteUser.ts"
import { makeListUsers } from "./listUsers.ts"
import { makePreferEmailTaken, type Unacceptable } from "./preferEmailTaken.ts"
import { makeUpdateUser } from "./updateUser.ts"
import { usersTable } from "./usersTable.ts"

/** The change or deletion happens only if the user is in one of these versions. */
export interface Precondition {
  readonly ifVersion?: ReadonlyArray<Version> | undefined
}

export class UserRepository extends Context.Service<UserRepository, {
  readonly getById: (id: UserId) => Effect.Effect<Option.Option<User>, DatabaseUnavailable>
  /** Whatever the case of the address. */
  readonly getByEmail: (email: Email) => Effect.Effect<Option.Option<User>, DatabaseUnavailable>
  readonly getByGoogleId: (
    googleId: GoogleId,
  ) => Effect.Effect<Option.Option<User>, DatabaseUnavailable>
  /** When both the address and the Google id are taken, the error is `EmailTaken`. */
  readonly create: (
    user: typeof User.insert.Type,
    options?: CreateUserOptions,
  ) => Effect.Effect<User, Unacceptable | IdempotencyKeyReused | DatabaseUnavailable>
  /** Changes what is given; the check on credentials is judged on the whole result. */
  readonly update: (
    id: UserId,
    changes: typeof User.update.Type,
    precondition?: Precondition,
  ) => Effect.Effect<User, UserNotFound | VersionMismatch | Unacceptable | DatabaseUnavailable>
  /** Deletes the user and its refresh tokens; its login attempts stay, without a user. */
  readonly delete: (
    id: UserId,
    precondition?: Precondition,
  ) => Effect.Effect<void, UserNotFound | VersionMismatch | DatabaseUnavailable>
  /** The oldest first. */
  readonly list: (
    page: { readonly limit: number; readonly after?: Place | undefined },
  ) => Effect.Effect<Page<User>, DatabaseUnavailable>
}>()("latchkey/repositories/UserRepository") {
  static readonly layer = Layer.effect(
    UserRepository,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { columns } = usersTable(sql)
      const preferEmailTaken = makePreferEmailTaken(sql)

      const getById = yield* makeBatchedLookup(sql, {
        name: "UserRepository.getById",
        key: StoredUserId,
        type: "uuid",
        row: User,
        select: sql`SELECT ${columns} FROM public.users WHERE id`,
        keyOf: (user: User) => user.id,
      })

      // Both sides are ASCII, so that JavaScript's lower case is that of the column's collation.
      const getByEmail = yield* makeBatchedLookup(sql, {
        name: "UserRepository.getByEmail",
        key: Schema.String,
        type: "text",
        row: User,
        select: sql`SELECT ${columns} FROM public.users WHERE lower(email)`,
        keyOf: (user: User) => user.email.toLowerCase(),
      })

      const getByGoogleId = yield* makeBatchedLookup(sql, {
        name: "UserRepository.getByGoogleId",
        key: GoogleId,
        type: "text",
        row: User,
        select: sql`SELECT ${columns} FROM public.users WHERE google_id`,
        keyOf: (user: User) => user.googleId,
      })

      const deleteUser = yield* makeDeleteUser(sql)

      /** Why no row of this id was in one of the versions asked for; any will do where none was. */
      const explainMiss = Effect.fnUntraced(function* (id: UserId, { ifVersion }: Precondition) {
        if (ifVersion === undefined) return yield* new UserNotFound()
        const user = yield* getById(id)
        return yield* Option.isSome(user) ? new VersionMismatch() : new UserNotFound()
      })

      const changeUser = yield* makeUpdateUser(sql, preferEmailTaken)

      const update = Effect.fnUntraced(function* (
        id: UserId,
        changes: typeof User.update.Type,
        precondition: Precondition = {},
      ) {
        const updated = yield* changeUser(id, changes, precondition.ifVersion ?? null)
        return Option.isSome(updated) ? updated.value : yield* explainMiss(id, precondition)
      })

      const delete_ = Effect.fnUntraced(function* (
        id: UserId,
        precondition: Precondition = {},
      ) {
        const removed = yield* deleteUser(id, precondition.ifVersion ?? null)
        if (Option.isNone(removed)) return yield* explainMiss(id, precondition)
      })

      return UserRepository.of({
        getById: traced("UserRepository.getById", getById),
        getByEmail: traced(
          "UserRepository.getByEmail",
          (email) => getByEmail(email.toLowerCase()),
        ),
        getByGoogleId: traced("UserRepository.getByGoogleId", getByGoogleId),
        create: yield* makeCreateUser(sql, preferEmailTaken),
        update: traced("UserRepository.update", update),
        delete: traced("UserRepository.delete", delete_),
        list: traced("UserRepository.list", makeListUsers(sql)),
      })
    }),
  )
}
