import { NodeServices } from "@effect/platform-node"
import { assert, describe, it, layer } from "@effect/vitest"
import { createHash } from "node:crypto"
import { Effect, FileSystem, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import * as Database from "../../src/database/Database.ts"
import { judgeSkew } from "../../src/doctor/connection.ts"
import { examine } from "../../src/doctor/examine.ts"
import { Finding, type Severity } from "../../src/doctor/Finding.ts"
import { indexesIn } from "../../src/doctor/schema.ts"
import { judgeAge, judgeCapacity } from "../../src/doctor/server.ts"
import { judgeDeadRows } from "../../src/doctor/tables.ts"
import { databaseUrl } from "../faults/support/ServiceProcess.ts"
import * as EmbeddedServer from "../support/EmbeddedServer.ts"
import * as PgBouncer from "../support/PgBouncer.ts"
import * as Program from "../support/Program.ts"
import { aServiceRole, asSuperuser } from "../support/roles.ts"

const sha256 = (key: string) => createHash("sha256").update(key).digest("hex")

const keys = JSON.stringify([{ name: "auth", sha256: sha256("a"), scopes: ["users:read"] }])

const good = (connection: ConnectionParameters) => ({
  DATABASE_URL: databaseUrl(connection),
  API_KEYS: keys,
})

/** What is not as it should be. The test server gives up durability, for speed. */
const notOk = (findings: ReadonlyArray<Finding>) =>
  findings
    .filter(({ name, severity }) => severity !== "ok" && name !== "durability")
    .map(({ name, severity }) => `${severity} ${name}`)

/** What is said of one thing in one way, with what to do. */
const find = (findings: ReadonlyArray<Finding>, name: string, severity: Severity) => {
  const found = findings.filter((finding) => finding.name === name && finding.severity === severity)
  assert.isNotEmpty(found, JSON.stringify(findings, null, 2))
  return found.map(({ advice, seen }) => `${seen} ${advice ?? ""}`).join("\n")
}

const userNamed = (name: string) =>
  `INSERT INTO users (email, auth_provider, password_hash) VALUES ('${name}@example.com', 'email', 'x')`

interface Spoilt {
  readonly how: string
  /** Run by the owner of the database; ROLE and DATABASE are their names. */
  readonly statements?: ReadonlyArray<string>
  readonly variables?: Record<string, string>
  /** Whether the owner of the database looks. */
  readonly asOwner?: boolean
  readonly found: Severity
  readonly name: string
  readonly says: RegExp
}

const spoilt: ReadonlyArray<Spoilt> = [
  {
    how: "an index is dropped",
    statements: ["DROP INDEX login_attempts_ip_prefix_idx"],
    found: "error",
    name: "indexes",
    says: /ip_prefix_idx is missing.*CREATE INDEX CONCURRENTLY login_attempts_ip_prefix_idx ON .*;/,
  },
  {
    how: "an index is invalid",
    statements: [
      "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_created_at_idx'::regclass",
    ],
    found: "error",
    name: "indexes",
    says: /users_created_at_idx is invalid.*REINDEX INDEX CONCURRENTLY public.users_created_at_idx/,
  },
  {
    how: "a right is revoked",
    statements: ["REVOKE DELETE ON refresh_tokens FROM ROLE"],
    found: "error",
    name: "rights",
    says: /lacks DELETE on public.refresh_tokens/,
  },
  {
    how: "a function is closed",
    statements: [
      "REVOKE EXECUTE ON FUNCTION begin_login_attempts(json, boolean) FROM PUBLIC, ROLE",
    ],
    found: "error",
    name: "rights",
    says: /lacks EXECUTE on public.begin_login_attempts/,
  },
  {
    how: "row security hides rows",
    statements: ["ALTER TABLE login_attempts ENABLE ROW LEVEL SECURITY"],
    found: "error",
    name: "row-security",
    says: /hides rows from the role/,
  },
  {
    how: "the role's isolation is another one",
    statements: ["ALTER ROLE ROLE SET default_transaction_isolation = serializable"],
    found: "warning",
    name: "default-settings",
    says: /The role sets default_transaction_isolation to "serializable"/,
  },
  {
    how: "the role does not wait for its commits",
    statements: ["ALTER ROLE ROLE IN DATABASE DATABASE SET synchronous_commit = off"],
    found: "warning",
    name: "durability",
    says: /synchronous_commit is off by default/,
  },
  {
    how: "a migration is pending",
    statements: ["DELETE FROM latchkey_migrations WHERE id = 6"],
    found: "error",
    name: "migrations",
    says: /lacks 0006_sign_in.sql.*Run `deno task migrate`/,
  },
  {
    how: "a migration was edited",
    statements: ["UPDATE latchkey_migrations SET sha256 = 'x' WHERE id = 2"],
    found: "error",
    name: "migrations",
    says: /was edited after it had been applied/,
  },
  {
    how: "the database is ahead",
    statements: [
      "INSERT INTO latchkey_migrations (id, name, sha256, duration_ms, version) " +
      "VALUES (9999, 'later', 'x', 1, '9.9.9')",
    ],
    found: "error",
    name: "migrations",
    says: /applied by latchkey 9.9.9/,
  },
  {
    how: "the database is ahead, of what may run beside this version",
    statements: [
      "INSERT INTO latchkey_migrations (id, name, sha256, duration_ms, version, compatible_with) " +
      "VALUES (9999, 'later', 'x', 1, '9.9.9', 1)",
    ],
    found: "warning",
    name: "migrations",
    says: /may keep running meanwhile/,
  },
  {
    how: "a table is gone",
    statements: ["ALTER TABLE login_attempts RENAME TO attempts"],
    found: "error",
    name: "migrations",
    says: /lacks login_attempts, although all migrations are applied/,
  },
  {
    how: "there is one more column",
    statements: ["ALTER TABLE users ADD COLUMN nickname text"],
    asOwner: true,
    found: "error",
    name: "drift",
    says: /column users.nickname is there, but not in the migrations/,
  },
  {
    how: "there is one more trigger",
    statements: [
      "CREATE TRIGGER spy BEFORE UPDATE ON users FOR EACH ROW " +
      "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ],
    asOwner: true,
    found: "error",
    name: "drift",
    says: /trigger users.spy is there, but not in the migrations/,
  },
  {
    how: "the owner serves",
    asOwner: true,
    found: "warning",
    name: "excess-rights",
    says: /can do more than the service needs: it is a superuser/,
  },
  {
    how: "the pool is too large",
    variables: { DATABASE_POOL_SIZE: "1000" },
    found: "error",
    name: "connections",
    says: /opens up to 1003 connections/,
  },
  {
    how: "the role has connections for one service only",
    statements: ["ALTER ROLE ROLE CONNECTION LIMIT 20"],
    found: "warning",
    name: "connections",
    says: /lets this role have 20. While a deployment replaces it, two run/,
  },
  {
    how: "the database is read-only",
    statements: ["ALTER DATABASE DATABASE SET default_transaction_read_only = on"],
    found: "error",
    name: "writable",
    says: /read-only/,
  },
  {
    how: "tokens are overdue",
    statements: [
      userNamed("ada"),
      "INSERT INTO refresh_tokens (user_id, token_hash, expires_at) " +
      "SELECT id, 'x', now() - interval '10 days' FROM users",
    ],
    variables: { RETENTION_INTERVAL: "1h" },
    found: "warning",
    name: "retention",
    says: /A token that expired 10 days ago is still there; the policy says 7/,
  },
  {
    how: "attempts are overdue, and nobody is to clean up",
    statements: [
      "INSERT INTO login_attempts (email, ip_address, success, attempted_at) " +
      "VALUES ('ada@example.com', '192.0.2.1', false, now() - interval '200 days')",
    ],
    found: "warning",
    name: "retention",
    says: /attempt of 200 days ago is still there; the policy says 90. Set RETENTION_INTERVAL/,
  },
  {
    how: "autovacuum is off for a table",
    statements: ["ALTER TABLE users SET (autovacuum_enabled = off)"],
    found: "warning",
    name: "dead-rows",
    says: /Autovacuum is off for users/,
  },
  {
    how: "a variable is misspelt",
    variables: { DATABASE_POLSIZE: "10" },
    found: "warning",
    name: "variable-names",
    says: /DATABASE_POOL_SIZE is/,
  },
  {
    how: "a key may do everything",
    variables: { API_KEYS: JSON.stringify([{ name: "all", sha256: sha256("b"), scopes: ["*"] }]) },
    found: "warning",
    name: "api-keys",
    says: /The key of "all" has the scope "\*"/,
  },
  {
    how: "two keys have one name",
    variables: {
      API_KEYS: JSON.stringify(
        ["a", "b"].map((key) => ({ name: "auth", sha256: sha256(key), scopes: ["users:read"] })),
      ),
    },
    found: "warning",
    name: "api-keys",
    says: /Several keys have the name "auth"/,
  },
  {
    how: "a key is the one of the example",
    variables: {
      API_KEYS: JSON.stringify([
        { name: "auth", sha256: sha256("latchkey-example-key"), scopes: ["users:read"] },
      ]),
    },
    found: "warning",
    name: "api-keys",
    says: /the example that everybody can read/,
  },
]

/** Looks at a database of its own, after it was spoilt. */
const examineSpoilt = Effect.fnUntraced(function* (
  { asOwner, statements = [], variables = {} }: Spoilt,
) {
  const { connection, owner } = yield* aServiceRole(inject("template"))
  yield* asSuperuser(
    owner,
    ...statements.map((statement) =>
      statement.replaceAll(/\bROLE ROLE\b/g, `ROLE ${connection.username}`)
        .replaceAll(/\bROLE$/g, String(connection.username))
        .replaceAll(/\bDATABASE DATABASE\b/g, `DATABASE "${owner.database}"`)
    ),
  )
  return yield* examine({ ...good(asOwner ? owner : connection), ...variables })
})

layer(NodeServices.layer, { excludeTestServices: true })("the doctor", (it) => {
  it.effect("finds nothing in a good system, and compares no schema as a role that only serves", () =>
    Effect.gen(function* () {
      const { connection } = yield* aServiceRole(inject("template"))
      const findings = yield* examine(good(connection))
      assert.deepStrictEqual(notOk(findings), ["skipped drift"])
      assert.isAbove(findings.length, 20)
    }))

  it.effect.each(spoilt)("finds that $how", (one) =>
    Effect.gen(function* () {
      const findings = yield* examineSpoilt(one)
      assert.match(find(findings, one.name, one.found), one.says)
    }))

  it.effect.each(
    [
      [{ PORT: "http", DATABASE_URL: "x" }, "variables", /PORT must be/],
      [{ HOST: "0.0.0.0", API_KEYS: undefined }, "api-keys", /there are no keys/],
      [{ DATABASE_URL: "postgres://u@127.0.0.1:1/d" }, "database", /nothing listens there/],
      [{ DATABASE_URL: "postgres://u@nowhere.invalid/d" }, "database", /host/],
      [{ PASSWORD: "wrong" }, "database", /the password is wrong/],
      [{ DATABASE: "nowhere" }, "database", /there is no such database/],
      [
        { OPTIONS: "-c default_transaction_isolation=serializable" },
        "database",
        /set default_trans/,
      ],
      [{ DATABASE_URL: undefined, DATA_DIR: "/nowhere" }, "database", /no embedded database under/],
    ] as const,
  )(
    "skips what makes no sense after %j",
    ([{ ...spoiling }, name, says]) =>
      Effect.gen(function* () {
        const { connection } = yield* aServiceRole(inject("template"))
        const url = new URL(databaseUrl(connection))
        const { PASSWORD, DATABASE, OPTIONS, ...variables }: Record<string, string | undefined> =
          spoiling
        if (PASSWORD !== undefined) url.password = PASSWORD
        if (DATABASE !== undefined) url.pathname = DATABASE
        if (OPTIONS !== undefined) url.searchParams.set("options", OPTIONS)
        const environment: Record<string, string | undefined> = {
          API_KEYS: keys,
          DATABASE_URL: url.href.replaceAll("+", "%20"),
          ...variables,
        }
        const findings = yield* examine(Object.fromEntries(
          Object.entries(environment).flatMap(([name, value]) =>
            value === undefined ? [] : [[name, value]]
          ),
        ))
        assert.match(find(findings, name, "error"), says)
        if (name !== "api-keys") find(findings, "migrations", "skipped")
        assert.notInclude(JSON.stringify(findings), "secret")
      }),
  )

  it.effect("tells what it cannot look at, and goes on", () =>
    Effect.gen(function* () {
      const { connection, owner } = yield* aServiceRole(inject("template"))
      const sql = yield* Effect.provideContext(
        SqlClient.SqlClient,
        yield* Layer.build(Database.layer({ connection: owner, maxConnections: 1 })),
      )
      yield* sql.withTransaction(Effect.gen(function* () {
        yield* sql`LOCK TABLE refresh_tokens IN ACCESS EXCLUSIVE MODE`
        const findings = yield* examine({ ...good(connection), LOCK_TIMEOUT: "100ms" })
        assert.match(find(findings, "retention", "error"), /could not be looked at/)
        assert.match(find(findings, "dead-rows", "ok"), /users has about/)
      }))
    }))

  it.effect.skipIf(!PgBouncer.isInstalled)("looks through a pooler", () =>
    Effect.gen(function* () {
      const { connection, owner } = yield* aServiceRole(inject("template"))
      yield* asSuperuser(owner, `ALTER DATABASE "${owner.database}" SET synchronous_commit = on`)
      const url = yield* PgBouncer.start(connection, { mode: "transaction" })
      const findings = yield* examine({ API_KEYS: keys, DATABASE_URL: `${url}&pgbouncer=true` })
      assert.match(find(findings, "connections", "ok"), /A pooler shares out/)
      assert.match(find(findings, "session-settings", "warning"), /Behind the pooler/)
      assert.match(find(findings, "drift", "skipped"), /direct connection/)
      find(findings, "migrations", "ok")
    }))

  it.effect("starts the embedded database to look at it, or looks at the one that runs", () =>
    Effect.gen(function* () {
      const dataDir = yield* EmbeddedServer.temporaryDataDir
      const task = (...args: ReadonlyArray<string>) =>
        Effect.flatMap(
          Program.start(["task", "--quiet", ...args], { DATA_DIR: dataDir }),
          ({ ended }) => ended,
        )
      const migrated = yield* task("migrate")
      assert.strictEqual(migrated.code, 0, migrated.output)
      const { code, output } = yield* task("doctor")
      assert.strictEqual(code, 0, output)
      assert.include(output, "it was started to be looked at")
      assert.include(output, "All is well.")
      yield* EmbeddedServer.start(dataDir)
      const findings = yield* examine({ DATA_DIR: dataDir })
      assert.deepStrictEqual(notOk(findings), [])
      assert.include(find(findings, "database", "ok"), `of process ${Deno.pid} answers`)
    }))
})

const Report = Schema.fromJsonString(Schema.Struct({
  version: Schema.String,
  commit: Schema.String,
  summary: Schema.Struct({
    ok: Schema.Int,
    warning: Schema.Int,
    error: Schema.Int,
    skipped: Schema.Int,
  }),
  findings: Schema.Array(Finding),
}))

layer(NodeServices.layer, { excludeTestServices: true })("deno task doctor", (it) => {
  const doctor = (variables: Record<string, string>, ...args: ReadonlyArray<string>) =>
    Effect.flatMap(
      Program.start(["task", "--quiet", "doctor", ...args], variables),
      ({ ended }) => ended,
    )

  it.effect("prints JSON, and tells by its exit code that there are warnings alone", () =>
    Effect.gen(function* () {
      const { connection } = yield* aServiceRole(inject("template"))
      const { code, output } = yield* doctor(
        { ...good(connection), LATCHKEY_PORT: "1" },
        "--json",
      )
      assert.strictEqual(code, 2, output)
      const [, json = "", words] = /^(\{.*\n\}\n)(.*)$/s.exec(output) ?? []
      const { findings, summary } = Schema.decodeUnknownSync(Report)(json)
      assert.strictEqual(summary.error, 0)
      assert.strictEqual(
        findings.length,
        summary.ok + summary.warning + summary.error + summary.skipped,
      )
      assert.match(String(words), /^\d warnings?\.\n$/)
    }))

  it.effect("tells by its exit code that there are errors", () =>
    Effect.gen(function* () {
      const { code, output } = yield* doctor({ DATABASE_URL: "postgres://u:hunter2@127.0.0.1:1/d" })
      assert.strictEqual(code, 1, output)
      assert.match(output, /ERROR {4}database: Cannot use the database/)
      assert.match(output, /skipped {2}postgres-version, .*wraparound: There is no connection/)
      assert.notInclude(output, "hunter2")
    }))

  it.effect("explains its exit codes", () =>
    Effect.gen(function* () {
      const { code, output } = yield* doctor({}, "--help")
      assert.strictEqual(code, 0)
      assert.match(
        output.replaceAll(/\s+/g, " "),
        /Exit code 0: all is well; 1: errors; 2: warnings/,
      )
    }))
})

describe("the doctor's judgement", () => {
  it.each(
    [
      [0, 10, "ok"],
      [900, 0, "ok"],
      [-1_500, 600, "ok"],
      [-1_500, 10, "warning"],
      [70_000, 10, "error"],
    ] as const,
  )("of clocks that are %d ms apart, give or take %d", (skew, uncertainty, severity) => {
    assert.strictEqual(judgeSkew(skew, uncertainty).severity, severity)
  })

  it.each([[200, 1, "ok"], [1, 700, "warning"], [1_300, 1, "error"]] as const)(
    "of ids that are %d and %d million old",
    (transactions, multixacts, severity) => {
      assert.strictEqual(
        judgeAge({ transactions: transactions * 1e6, multixacts: multixacts * 1e6 }).severity,
        severity,
      )
    },
  )

  const server = { greatest: 100, reserved: 3, ofRole: -1, ofDatabase: -1, isSuperuser: false }
  it.each(
    [
      [13, server, "ok"],
      [49, server, "warning"],
      [97, server, "warning"],
      [98, server, "error"],
      [98, { ...server, isSuperuser: true }, "warning"],
      [13, { ...server, ofDatabase: 12 }, "error"],
    ] as const,
  )("of %d connections where %j", (needed, capacity, severity) => {
    assert.strictEqual(judgeCapacity(needed, capacity).severity, severity)
  })

  const table = { table: "users", live: 1_000, dead: 0, vacuumed: null, autovacuum: true }
  it.each(
    [
      [table, "ok"],
      [{ ...table, dead: 9_000 }, "ok"],
      [{ ...table, dead: 11_000 }, "warning"],
      [{ ...table, live: 1_000_000, dead: 300_000 }, "ok"],
      [{ ...table, live: 1_000_000, dead: 500_000 }, "warning"],
      [{ ...table, autovacuum: false }, "warning"],
    ] as const,
  )("of dead rows: %j", (health, severity) => {
    assert.strictEqual(judgeDeadRows(health).severity, severity)
  })

  it.effect("knows the indexes that the migrations make", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const schema = yield* fs.readFileString(
        new URL("../../migrations/schema.sql", import.meta.url).pathname,
      )
      const indexes = indexesIn(schema)
      assert.strictEqual(indexes.size, schema.match(/\bINDEX\b|PRIMARY KEY/g)?.length)
      assert.include([...indexes.keys()], "users_pkey")
    }).pipe(Effect.provide(NodeServices.layer)))
})
