/**
 * The creation of user accounts.
 */
import { Effect, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, userConstraints } from "../../database/Constraints.ts"
import { type Bound, bounded, lockTimeoutIs, waitsBriefly } from "../../database/LockWaits.ts"
import { prepared } from "../../database/prepared.ts"
import { traced } from "../../database/traced.ts"
import { withSavepointOrRetry } from "../../database/transactions.ts"
import { User, type UserId } from "../../domain/User.ts"
import { StoredUuid } from "../../domain/Uuid.ts"
import { insertionFields, makeCreate } from "../makeCreate.ts"
import { usersTable } from "../usersTable.ts"
import type { TellClash } from "./tellClash.ts"

export interface CreateUserOptions {
  /** Becomes the user's id; the same call again gives the user as it is now. */
  readonly idempotencyKey?: UserId | undefined
}

const Insertion = Schema.Struct({ ...User.insert.fields, ...insertionFields })

export const makeCreateUser = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  tellClash: TellClash,
) {
  const users = usersTable(sql)
  const row = users.parameters()
  const rows = users.records()

  const insert = SqlSchema.findOneOption({
    Request: Insertion,
    Result: User,
    execute: bounded(prepared<typeof Insertion.Encoded & Bound>(sql)`
      INSERT INTO public.users (${row.names})
      SELECT ${row.values}
      WHERE ${lockTimeoutIs(sql, "lockTimeout")}
      ON CONFLICT (id) DO NOTHING
      RETURNING ${users.columns}`),
  })

  // Sorted, so that two services that add the same addresses don't wait for each other.
  const insertMany = SqlSchema.findAll({
    Request: Schema.fromJsonString(
      Schema.Array(Schema.Struct({ ...User.insert.fields, id: StoredUuid })),
    ),
    Result: Schema.Unknown,
    execute: (json) =>
      sql`
        INSERT INTO public.users (${rows.names})
        SELECT ${rows.values}
        FROM ${users.recordset(json)}
        WHERE ${waitsBriefly(sql)}
        ORDER BY lower(input.email COLLATE "C")
        ON CONFLICT DO NOTHING
        RETURNING ${users.columns}`,
  })

  const create = yield* makeCreate(sql, {
    name: "UserRepository.create",
    table: users,
    row: User,
    operation: "create",
    values: User.insert,
    added: new Set(["emailVerifiedAt"]),
    newId: () => crypto.randomUUID(),
    lock: ({ email }) => email,
    insert: (user, id, fingerprint) =>
      tellClash(
        insert({ ...user, id, fingerprint }).pipe(
          withSavepointOrRetry(sql),
          interpretErrors(userConstraints),
        ),
        user,
        id,
      ),
    insertMany: (calls) => insertMany(calls.map(([id, user]) => ({ ...user, id }))),
  })

  return traced(
    "UserRepository.create",
    (user: typeof User.insert.Type, { idempotencyKey }: CreateUserOptions = {}) =>
      create(user, idempotencyKey),
  )
})
