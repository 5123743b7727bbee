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
import type { UserInactive } from "../../domain/Session.ts"
import {
  type EmailTaken,
  GoogleId,
  StoredUserId,
  User,
  type UserId,
  UserNotFound,
  type Version,
  VersionMismatch,
} from "../../domain/User.ts"
import { usersTable } from "../usersTable.ts"
import { makeCountUsers, type UserCount } from "./countUsers.ts"
import { type CreateUserOptions, makeCreateUser } from "./createUser.ts"
import { makeDeleteUser } from "./deleteUser.ts"
import {
  type FromGoogle,
  type GoogleAccount,
  makeGetOrCreateByGoogleId,
} from "./getOrCreateByGoogleId.ts"
import { makeListUsers } from "./listUsers.ts"
import { type Lookup, makeLookUpUsers } from "./lookUpUsers.ts"
import { makeTellClash, type Unacceptable } from "./tellClash.ts"
import { makeUpdateUser, type RevokeSessions } from "./updateUser.ts"

export interface UpdateOptions extends Precondition {
  /** Which sessions of the user end in the same transaction; none by default. */
  readonly revokeSessions?: RevokeSessions | undefined
}

/** The change or deletion happens only if the user is in one of these versions. */
export interface Precondition {
  readonly ifVersion?: ReadonlyArray<Version> | undefined
}

/** Makes the look-ups of single users, which share statements when they arrive together. */
const makeFinders = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const { columns } = usersTable(sql)

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

  return { getById, getByEmail, getByGoogleId }
})

export class UserRepository extends Context.Service<UserRepository, {
  readonly getById: (id: UserId) => Effect.Effect<Option.Option<User>, DatabaseUnavailable>
  /** Whatever the case of the address. */
  readonly getByEmail: (email: Email) => Effect.Effect<Option.Option<User>, DatabaseUnavailable>
  readonly getByGoogleId: (
    googleId: GoogleId,
  ) => Effect.Effect<Option.Option<User>, DatabaseUnavailable>
  /**
   * When both the address and the Google id are taken, the error is `GoogleIdTaken` if by one account,
   * otherwise `EmailTaken`.
   */
  readonly create: (
    user: typeof User.insert.Type,
    options?: CreateUserOptions,
  ) => Effect.Effect<User, Unacceptable | IdempotencyKeyReused | DatabaseUnavailable>
  /**
   * Gives the user who has the Google id, unchanged. Otherwise creates one, or links the account that
   * has the address if `onEmailTaken` is `link` and Google has verified the address: one whose own
   * address is verified gets the Google id; any other is taken over, without its password hash and its
   * sessions, since whoever registered the address before need not be its owner.
   */
  readonly getOrCreateByGoogleId: (
    googleId: GoogleId,
    account: GoogleAccount,
  ) => Effect.Effect<FromGoogle, EmailTaken | UserInactive | DatabaseUnavailable>
  /**
   * Changes what is given; the check on credentials is judged on the whole result. A change of `email` in
   * more than its case clears `emailVerifiedAt` unless that is given as well. An inactive user has no
   * live token, whoever deactivated them.
   */
  readonly update: (
    id: UserId,
    changes: typeof User.update.Type,
    options?: UpdateOptions,
  ) => Effect.Effect<User, UserNotFound | VersionMismatch | Unacceptable | DatabaseUnavailable>
  /** Deletes the user and its refresh tokens; its login attempts stay, without a user. */
  readonly delete: (
    id: UserId,
    precondition?: Precondition,
  ) => Effect.Effect<void, UserNotFound | VersionMismatch | DatabaseUnavailable>
  /** Whoever has one of the ids, addresses or Google ids: each user once, in no order. */
  readonly lookup: (lookup: Lookup) => Effect.Effect<ReadonlyArray<User>, DatabaseUnavailable>
  /** Whose address begins so, whatever its case, by address; `next` is where the list goes on. */
  readonly listByEmail: (
    prefix: string,
    page: { readonly limit: number; readonly after?: Email | undefined },
  ) => Effect.Effect<
    { readonly users: ReadonlyArray<User>; readonly next: Email | null },
    DatabaseUnavailable
  >
  /** An estimate above a hundred thousand, unless it is to be exact. */
  readonly count: (exact: boolean) => Effect.Effect<UserCount, DatabaseUnavailable>
  /** The oldest first. */
  readonly list: (
    page: { readonly limit: number; readonly after?: Place | undefined },
  ) => Effect.Effect<Page<User>, DatabaseUnavailable>
}>()("latchkey/repositories/UserRepository") {
  static readonly layer = Layer.effect(
    UserRepository,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const tellClash = makeTellClash(sql)

      const { getById, getByEmail, getByGoogleId } = yield* makeFinders(sql)
      const { list, listByEmail } = makeListUsers(sql)
      const deleteUser = yield* makeDeleteUser(sql)

      /** Why no row of this id was in one of the versions asked for; any will do where none was. */
      const explainMiss = Effect.fnUntraced(function* (id: UserId, { ifVersion }: Precondition) {
        if (ifVersion === undefined) return yield* new UserNotFound()
        const user = yield* getById(id)
        return yield* Option.isSome(user) ? new VersionMismatch() : new UserNotFound()
      })

      const changeUser = yield* makeUpdateUser(sql, tellClash)

      const update = Effect.fnUntraced(function* (
        id: UserId,
        changes: typeof User.update.Type,
        options: UpdateOptions = {},
      ) {
        const { ifVersion = null, revokeSessions } = options
        const updated = yield* changeUser(id, changes, ifVersion, revokeSessions)
        return Option.isSome(updated) ? updated.value : yield* explainMiss(id, options)
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
        create: yield* makeCreateUser(sql, tellClash),
        getOrCreateByGoogleId: traced(
          "UserRepository.getOrCreateByGoogleId",
          yield* makeGetOrCreateByGoogleId(sql),
        ),
        update: traced("UserRepository.update", update),
        delete: traced("UserRepository.delete", delete_),
        list: traced("UserRepository.list", list),
        listByEmail: traced("UserRepository.listByEmail", listByEmail),
        lookup: traced("UserRepository.lookup", makeLookUpUsers(sql)),
        count: traced("UserRepository.count", makeCountUsers(sql)),
      })
    }),
  )
}
