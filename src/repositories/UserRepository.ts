/**
 * User accounts in PostgreSQL.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, userConstraints } from "../database/Constraints.ts"
import { bounded, lockTimeoutIs, makeWaitFor } from "../database/LockWaits.ts"
import { spanned } from "../database/spanned.ts"
import type { DatabaseUnavailable } from "../domain/DatabaseUnavailable.ts"
import type { Email } from "../domain/Email.ts"
import type { IdempotencyKeyReused } from "../domain/IdempotencyKey.ts"
import { orNull } from "../domain/orNull.ts"
import type { Page, Place } from "../domain/Page.ts"
import {
  GoogleId,
  StoredUserId,
  User,
  UserId,
  UserNotFound,
  Version,
  VersionMismatch,
} from "../domain/User.ts"
import { type CreateUserOptions, makeCreateUser } from "./createUser.ts"
import { makeLookUp } from "./lookUp.ts"
import { pageOf, startAfter } from "./paging.ts"
import { makePreferEmailTaken, type Unacceptable } from "./preferEmailTaken.ts"
import { makeRemoveUser } from "./removeUser.ts"
import { retryRead } from "./retryRead.ts"
import { withSavepoint } from "./savepoint.ts"
import { userColumns } from "./userColumns.ts"

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
      const columns = sql.literal(userColumns)
      const preferEmailTaken = makePreferEmailTaken(sql)

      const getById = yield* makeLookUp(sql, {
        name: "UserRepository.getById",
        key: StoredUserId,
        type: "uuid",
        row: User,
        select: sql`SELECT ${columns} FROM public.users WHERE id`,
        keyOf: (user: User) => user.id,
      })

      // Both sides are ASCII, so that JavaScript's lower case is that of the column's collation.
      const getByEmail = yield* makeLookUp(sql, {
        name: "UserRepository.getByEmail",
        key: Schema.String,
        type: "text",
        row: User,
        select: sql`SELECT ${columns} FROM public.users WHERE lower(email)`,
        keyOf: (user: User) => user.email.toLowerCase(),
      })

      const getByGoogleId = yield* makeLookUp(sql, {
        name: "UserRepository.getByGoogleId",
        key: GoogleId,
        type: "text",
        row: User,
        select: sql`SELECT ${columns} FROM public.users WHERE google_id`,
        keyOf: (user: User) => user.googleId,
      })

      const change = SqlSchema.findOneOption({
        Request: Schema.Struct({
          id: UserId,
          changes: User.update,
          versions: orNull(Schema.Array(Version)),
        }),
        Result: User,
        execute: bounded(({ id, changes, versions, lockTimeout }) => {
          const value = (name: keyof typeof changes, column: string) =>
            sql`CASE WHEN ${name in changes} THEN ${changes[name] ?? null} ELSE ${sql(column)} END`
          return sql`
            UPDATE public.users
            SET
              email = ${value("email", "email")},
              full_name = ${value("fullName", "full_name")},
              password_hash = ${value("passwordHash", "password_hash")},
              auth_provider = ${value("authProvider", "auth_provider")},
              google_id = ${value("googleId", "google_id")},
              is_active = ${value("isActive", "is_active")}
            WHERE
              id = ${id}
              AND (${versions}::text[] IS NULL OR version::text = ANY(${versions}))
              AND ${lockTimeoutIs(sql, lockTimeout)}
            RETURNING ${columns}`
        }),
      })

      const findPage = SqlSchema.findAll({
        Request: Schema.Struct({
          createdAt: Schema.String,
          id: Schema.String,
          limit: Schema.Number,
        }),
        Result: User,
        execute: ({ createdAt, id, limit }) =>
          sql`
            SELECT ${columns}
            FROM public.users
            WHERE (created_at, id) > (${createdAt}::timestamptz, ${id}::uuid)
            ORDER BY created_at, id
            LIMIT ${limit}`,
      })

      const waitFor = yield* makeWaitFor(sql)
      const removeUser = yield* makeRemoveUser(sql)

      /** Why no row of this id was in one of the versions asked for; any will do where none was. */
      const explainMiss = Effect.fnUntraced(function* (id: UserId, { ifVersion }: Precondition) {
        if (ifVersion === undefined) return yield* new UserNotFound()
        const user = yield* getById(id)
        return yield* Option.isSome(user) ? new VersionMismatch() : new UserNotFound()
      })

      const update = Effect.fnUntraced(function* (
        id: UserId,
        changes: typeof User.update.Type,
        precondition: Precondition = {},
      ) {
        const versions = precondition.ifVersion ?? null
        const updated = yield* preferEmailTaken(
          waitFor(
            id,
            change({ id, changes, versions }).pipe(
              withSavepoint(sql),
              interpretErrors(userConstraints),
            ),
          ),
          changes.email,
          id,
        )
        return Option.isSome(updated) ? updated.value : yield* explainMiss(id, precondition)
      })

      const delete_ = Effect.fnUntraced(function* (
        id: UserId,
        precondition: Precondition = {},
      ) {
        const removed = yield* removeUser(id, precondition.ifVersion ?? null)
        if (Option.isNone(removed)) return yield* explainMiss(id, precondition)
      })

      const list = Effect.fnUntraced(function* (
        { limit, after }: { readonly limit: number; readonly after?: Place | undefined },
      ) {
        const rows = yield* findPage({ ...startAfter(after), limit: limit + 1 }).pipe(
          retryRead(sql),
          interpretErrors(),
        )
        return pageOf(rows, limit)
      })

      return UserRepository.of({
        getById: spanned("UserRepository.getById", getById),
        getByEmail: spanned(
          "UserRepository.getByEmail",
          (email) => getByEmail(email.toLowerCase()),
        ),
        getByGoogleId: spanned("UserRepository.getByGoogleId", getByGoogleId),
        create: yield* makeCreateUser(sql, preferEmailTaken),
        update: spanned("UserRepository.update", update),
        delete: spanned("UserRepository.delete", delete_),
        list: spanned("UserRepository.list", list),
      })
    }),
  )
}
