import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { TestDatabase } from "../support/TestDatabase.ts"

const column = (statement: string) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.map(sql.unsafe(statement).values, (rows) => rows.map((row) => row.join(" ")))
  )

const columnsOf = (table: string) =>
  column(`
    SELECT
      attname,
      format_type(atttypid, atttypmod),
      CASE WHEN attnotnull THEN 'not null' ELSE 'null' END,
      COALESCE(pg_get_expr(adbin, adrelid), '-')
    FROM pg_attribute
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = '${table}'::regclass AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum`)

const constraintsOf = (table: string) =>
  column(`
    SELECT conname, pg_get_constraintdef(oid)
    FROM pg_constraint
    WHERE conrelid = '${table}'::regclass AND contype IN ('p', 'f', 'c', 'u')
    ORDER BY conname COLLATE "C"`)

const indexesOf = (table: string) =>
  column(`
    SELECT regexp_replace(indexdef, ' INDEX | ON public\\.\\w+ USING', '', 'g')
    FROM pg_indexes
    WHERE schemaname = 'public' AND tablename = '${table}'
    ORDER BY indexname COLLATE "C"`)

layer(TestDatabase.layerClient)("the schema that the migrations make", (it) => {
  it.effect("has the type and the tables, and nothing else but the migrations' own", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* column("SELECT unnest(enum_range(NULL::auth_provider_enum))::text"),
        ["email", "google"],
      )
      assert.deepStrictEqual(
        yield* column(`SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`),
        [
          "effect_sql_migrations",
          "latchkey_migration_steps",
          "latchkey_migrations",
          "login_attempts",
          "refresh_tokens",
          "users",
        ],
      )
    }))

  it.effect("users: columns, constraints, indexes", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* columnsOf("users"), [
        "id uuid not null gen_random_uuid()",
        "email text not null -",
        "full_name text null -",
        "password_hash text null -",
        "auth_provider auth_provider_enum not null -",
        "google_id text null -",
        "is_active boolean not null true",
        "created_at timestamp(3) with time zone not null now()",
        "updated_at timestamp(3) with time zone not null now()",
        "idempotency_fingerprint bytea null -",
        "version bigint not null nextval('users_version_seq'::regclass)",
        "email_verified_at timestamp(3) with time zone null -",
        "failures_forgiven_at timestamp(3) with time zone null -",
      ])
      const constraints = yield* constraintsOf("users")
      assert.deepStrictEqual(constraints.map((constraint) => constraint.split(" ")[0]), [
        "users_auth_provider_check",
        "users_created_at_check",
        "users_email_check",
        "users_email_verified_at_check",
        "users_failures_forgiven_at_check",
        "users_pkey",
        "users_updated_at_check",
      ])
      assert.strictEqual(
        constraints[0],
        "users_auth_provider_check CHECK ((((auth_provider = 'email'::auth_provider_enum) AND " +
          "(password_hash IS NOT NULL)) OR ((auth_provider = 'google'::auth_provider_enum) AND " +
          "(google_id IS NOT NULL))))",
      )
      assert.deepStrictEqual(yield* indexesOf("users"), [
        "CREATEusers_created_at_idx btree (created_at, id)",
        "CREATE UNIQUEusers_email_key btree (lower(email))",
        "CREATE UNIQUEusers_google_id_key btree (google_id)",
        "CREATE UNIQUEusers_pkey btree (id)",
      ])
    }))

  it.effect("refresh_tokens: columns, constraints, indexes", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* columnsOf("refresh_tokens"), [
        "id uuid not null gen_random_uuid()",
        "user_id uuid not null -",
        "token_hash text not null -",
        "expires_at timestamp(3) with time zone not null -",
        "created_at timestamp(3) with time zone not null now()",
        "revoked_at timestamp(3) with time zone null -",
        "user_agent text null -",
        "ip_address inet null -",
        "successor_id uuid null -",
        "idempotency_fingerprint bytea null -",
        "session_id uuid null -",
        "signed_in_at timestamp(3) with time zone null -",
        "session_expires_at timestamp(3) with time zone null -",
        "revoked_reason text null -",
        "sibling_ids uuid[] null -",
      ])
      const constraints = yield* constraintsOf("refresh_tokens")
      assert.deepStrictEqual(constraints.map((constraint) => constraint.split(" ")[0]), [
        "refresh_tokens_created_at_check",
        "refresh_tokens_expires_at_check",
        "refresh_tokens_pkey",
        "refresh_tokens_revoked_at_check",
        "refresh_tokens_revoked_reason_check",
        "refresh_tokens_session_expires_at_check",
        "refresh_tokens_signed_in_at_check",
        "refresh_tokens_user_id_fkey",
      ])
      assert.strictEqual(
        constraints[4],
        "refresh_tokens_revoked_reason_check CHECK " +
          "((revoked_reason ~ '^[a-z][a-z0-9-]{0,63}$'::text))",
      )
      assert.strictEqual(
        constraints[7],
        "refresh_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE",
      )
      assert.deepStrictEqual(yield* indexesOf("refresh_tokens"), [
        "CREATErefresh_tokens_expires_at_idx btree (expires_at)",
        "CREATErefresh_tokens_live_session_idx btree (user_id, COALESCE(session_id, id)) " +
        "WHERE (revoked_at IS NULL)",
        "CREATE UNIQUErefresh_tokens_pkey btree (id)",
        "CREATE UNIQUErefresh_tokens_token_hash_key btree (token_hash)",
        "CREATErefresh_tokens_user_id_idx btree (user_id, created_at, id)",
      ])
    }))

  it.effect("login_attempts: columns, constraints, indexes", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* columnsOf("login_attempts"), [
        "id uuid not null gen_random_uuid()",
        "user_id uuid null -",
        "email text not null -",
        "ip_address inet not null -",
        "user_agent text null -",
        "success boolean not null -",
        "failure_reason text null -",
        "attempted_at timestamp(3) with time zone not null now()",
        "idempotency_fingerprint bytea null -",
        "pending boolean not null false",
        "completed_at timestamp(3) with time zone null -",
        "refresh_token_id uuid null -",
        "refresh_token_digest bytea null -",
      ])
      const constraints = yield* constraintsOf("login_attempts")
      assert.deepStrictEqual(constraints.map((constraint) => constraint.split(" ")[0]), [
        "login_attempts_attempted_at_check",
        "login_attempts_completed_at_check",
        "login_attempts_email_check",
        "login_attempts_pending_check",
        "login_attempts_pkey",
        "login_attempts_user_id_fkey",
      ])
      assert.strictEqual(
        constraints[5],
        "login_attempts_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE SET NULL",
      )
      assert.deepStrictEqual(yield* indexesOf("login_attempts"), [
        "CREATElogin_attempts_attempted_at_idx btree (attempted_at)",
        "CREATElogin_attempts_email_idx btree (lower(email), attempted_at)",
        "CREATElogin_attempts_email_ip_address_idx btree " +
        "((((lower(email) || ' '::text) || host(ip_address))), success, attempted_at)",
        "CREATElogin_attempts_ip_address_idx btree (ip_address, attempted_at) WHERE (NOT success)",
        "CREATElogin_attempts_ip_prefix_idx btree (network(set_masklen(ip_address,\nCASE " +
        "family(ip_address)\n    WHEN 4 THEN 24\n    ELSE 64\nEND)), attempted_at) " +
        "WHERE (NOT success)",
        "CREATE UNIQUElogin_attempts_pkey btree (id)",
        "CREATElogin_attempts_success_idx btree (lower(email), attempted_at) WHERE success",
        "CREATElogin_attempts_user_id_idx btree (user_id, attempted_at)",
      ])
    }))
})
