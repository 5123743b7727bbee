/**
 * What a role that only serves needs: rows, and no way to change the schema.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"

/** There is no role of this name. */
export class RoleUnknown extends Schema.TaggedError<RoleUnknown>()("RoleUnknown", {
  role: Schema.String,
}) {
  override get message() {
    return `There is no role ${this.role}; make it first: CREATE ROLE ${this.role} LOGIN PASSWORD '…'.`
  }
}

/**
 * Grants a role what the service needs: reading and writing the rows of the three tables, reading the
 * ledger, and no more. Again after a migration that adds a table or a sequence.
 */
export const grant = Effect.fn("Grant.grant")(function* (role: string) {
  const sql = yield* SqlClient.SqlClient
  const roles = yield* sql`SELECT FROM pg_roles WHERE rolname = ${role}`
  if (roles.length === 0) return yield* new RoleUnknown({ role })
  yield* sql.withTransaction(Effect.gen(function* () {
    yield* sql`GRANT USAGE ON SCHEMA public TO ${sql(role)}`
    yield* sql`
      GRANT SELECT, INSERT, UPDATE, DELETE
      ON public.users, public.refresh_tokens, public.login_attempts
      TO ${sql(role)}`
    yield* sql`GRANT USAGE ON SEQUENCE public.users_version_seq TO ${sql(role)}`
    yield* sql`GRANT SELECT ON public.latchkey_migrations TO ${sql(role)}`
  }))
})
