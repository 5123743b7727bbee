import { assert, layer } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import type { Call } from "./support/Client.ts"
import { lockTable, query } from "./support/Cluster.ts"
import * as Load from "./support/Load.ts"
import { answered, aSignUp, assertHealth, assertUnavailable, Stage } from "./support/Stage.ts"

/** What a statement says as the superuser, past the service. */
const ask = Effect.fnUntraced(function* (...statements: ReadonlyArray<string>) {
  const { connection } = yield* Stage
  return yield* query(connection)(...statements)
})

/** Ends the service's sessions, so that new ones begin with what was set for them. */
const endSessions = ask(`
  SELECT pg_terminate_backend(pid)
  FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = 'latchkey' AND pid <> pg_backend_pid()`)

/** Waits until the service is ready by itself. */
const untilReady = Effect.gen(function* () {
  const { client, service } = yield* Stage
  yield* Load.untilReady(client, service.port)
})

/** Repeats a sign-up, which may take longer than the service waits, until it is answered 201. */
const untilSignedUp = Effect.fnUntraced(function* (call: Call) {
  const { client, service } = yield* Stage
  const outcome = yield* Effect.repeat(client(service.port, call), {
    until: (outcome) => outcome._tag === "Answered" && outcome.answer.status === 201,
    times: 100,
    schedule: Schedule.spaced("50 millis"),
  })
  assert.strictEqual(outcome._tag === "Answered" ? outcome.answer.status : outcome._tag, 201)
})

const database = Effect.map(Stage, ({ connection }) => `"${connection.database}"`)

/** Time limits that no test meets: a call that waited for one would not be answered. */
const endless = { STATEMENT_TIMEOUT: "1h", LOCK_TIMEOUT: "1h", ANSWER_TIMEOUT: "1h" }

layer(Stage.layer(endless), { excludeTestServices: true })("a database that", (it) => {
  it.effect("is read-only is an outage for writes, and nothing is left when it is over", () =>
    Effect.gen(function* () {
      const stage = yield* Stage
      const signUp = aSignUp()
      yield* ask(`ALTER DATABASE ${yield* database} SET default_transaction_read_only = on`)
      yield* endSessions
      yield* assertUnavailable(stage, signUp.call)
      yield* assertHealth(stage, false)

      yield* ask(
        "SET default_transaction_read_only = off",
        `ALTER DATABASE ${yield* database} RESET default_transaction_read_only`,
      )
      yield* endSessions
      yield* untilReady
      yield* assertHealth(stage, true)
      yield* answered(stage, 201, signUp.call)
    }))

  it.effect("takes no more connections is an outage", () =>
    Effect.gen(function* () {
      const stage = yield* Stage
      const signUp = aSignUp()
      yield* ask(`ALTER ROLE ${stage.role} CONNECTION LIMIT 0`)
      yield* endSessions
      yield* assertUnavailable(stage, signUp.call)
      yield* assertHealth(stage, false)

      yield* ask(`ALTER ROLE ${stage.role} CONNECTION LIMIT -1`)
      yield* untilReady
      yield* answered(stage, 201, signUp.call)
    }))

  it.effect("lets the role connect no more is an outage", () =>
    Effect.gen(function* () {
      const stage = yield* Stage
      const signUp = aSignUp()
      yield* ask(`REVOKE CONNECT ON DATABASE ${yield* database} FROM PUBLIC`)
      yield* endSessions
      yield* assertUnavailable(stage, { method: "GET", path: `/v1/users/${signUp.id}` })
      yield* assertUnavailable(stage, signUp.call)
      yield* assertHealth(stage, false)

      yield* ask(`GRANT CONNECT ON DATABASE ${yield* database} TO PUBLIC`)
      yield* untilReady
      yield* answered(stage, 201, signUp.call)
    }))

  it.effect("denies the role a right is an outage for what needs it, and named in the log", () =>
    Effect.gen(function* () {
      const stage = yield* Stage
      const signUp = aSignUp()
      yield* ask(`REVOKE INSERT ON users FROM ${stage.role}`)
      yield* assertUnavailable(stage, signUp.call)
      yield* answered(stage, 200, { method: "GET", path: "/v1/users" })
      yield* assertHealth(stage, false)
      assert.include(
        stage.service.output(),
        `Not ready (rights-missing): The role \\"${stage.role}\\" lacks INSERT on public.users.`,
      )

      yield* ask(`GRANT INSERT ON users TO ${stage.role}`)
      yield* untilReady
      yield* answered(stage, 201, signUp.call)
    }))

  it.effect("hides rows from the role is an outage, and never a wrong count", () =>
    Effect.gen(function* () {
      const stage = yield* Stage
      const { id, call } = aSignUp()
      yield* answered(stage, 201, call)
      const counting = {
        method: "GET",
        path: `/v1/users/${id}/login-attempts/recent-failures`,
      }
      yield* answered(stage, 200, counting)
      yield* ask("ALTER TABLE login_attempts ENABLE ROW LEVEL SECURITY")
      yield* assertUnavailable(stage, counting)
      yield* assertHealth(stage, false)

      yield* ask("ALTER TABLE login_attempts DISABLE ROW LEVEL SECURITY")
      yield* untilReady
      yield* answered(stage, 200, counting)
    }))

  it.effect("has no space left is an outage for writes", () =>
    Effect.gen(function* () {
      const stage = yield* Stage
      const signUp = aSignUp()
      yield* ask(
        `CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN RAISE 'could not extend file' USING ERRCODE = '53100'; END $$`,
        "CREATE TRIGGER disk_full BEFORE INSERT ON users EXECUTE FUNCTION disk_full()",
      )
      yield* assertUnavailable(stage, signUp.call)
      yield* ask("DROP TRIGGER disk_full ON users")
      yield* answered(stage, 201, signUp.call)
    }))
})

const impatient = { ...endless, LOCK_TIMEOUT: "300ms" }
layer(Stage.layer(impatient), { excludeTestServices: true })(
  "with LOCK_TIMEOUT a database that",
  (it) => {
    it.effect("keeps a table locked is an outage for writes to it, in time", () =>
      Effect.gen(function* () {
        const stage = yield* Stage
        const signUp = aSignUp()
        yield* Effect.scoped(Effect.gen(function* () {
          yield* lockTable(stage.connection, "users")
          yield* assertUnavailable(stage, signUp.call)
          yield* assertHealth(stage, true)
        }))
        yield* untilSignedUp(signUp.call)
      }))
  },
)

const brisk = { ...endless, STATEMENT_TIMEOUT: "1s" }
layer(Stage.layer(brisk), { excludeTestServices: true })(
  "with STATEMENT_TIMEOUT a database that",
  (it) => {
    it.effect("takes too long for a statement is an outage for it, in time", () =>
      Effect.gen(function* () {
        const stage = yield* Stage
        const signUp = aSignUp()
        yield* ask(
          `CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$`,
          "CREATE TRIGGER sleep BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION sleep()",
        )
        yield* assertUnavailable(stage, signUp.call)
        yield* ask("DROP TRIGGER sleep ON users")
        yield* untilSignedUp(signUp.call)
      }))
  },
)

const bounded = { ...endless, STATEMENT_TIMEOUT: "1s", ANSWER_TIMEOUT: "2s" }
layer(Stage.layer(bounded), { excludeTestServices: true })(
  "with ANSWER_TIMEOUT a database that",
  (it) => {
    it.effect("is swallowed by the network is an outage for every call, in time", () =>
      Effect.gen(function* () {
        const stage = yield* Stage
        const { id, call } = aSignUp()
        yield* untilSignedUp(call)
        yield* stage.proxy.behave({ _tag: "Blackhole" })
        const calls = [
          aSignUp().call,
          { method: "GET", path: `/v1/users/${id}` },
          { method: "PATCH", path: `/v1/users/${id}`, json: { fullName: "Ada" } },
          { method: "POST", path: `/v1/users/${id}/refresh-tokens/revoke` },
          { method: "DELETE", path: `/v1/users/${id}` },
          { method: "POST", path: "/v1/maintenance/delete-expired-tokens" },
        ]
        // While the network swallows, nothing but the service's own limits answers them.
        yield* Effect.forEach(calls, (call) => assertUnavailable(stage, call), {
          concurrency: "unbounded",
        })
        yield* assertHealth(stage, false)

        yield* stage.proxy.behave({ _tag: "Pass" })
        yield* untilReady
        yield* untilSignedUp(aSignUp().call)
        assert.lengthOf(yield* ask(`SELECT FROM users WHERE id = '${id}' AND full_name IS NULL`), 1)
      }))
  },
)
