import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Redacted, Result } from "effect"
import { query, session, start, temporaryDataDir } from "../support/EmbeddedServer.ts"

const provided = Effect.provide(NodeServices.layer)

describe("the embedded PostgreSQL", { concurrent: true }, () => {
  it.live("keeps its data across restarts", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir, "CREATE TABLE kept AS SELECT 'still here' AS word")

      const [row] = yield* session(dataDir, "SELECT word FROM kept")
      assert.deepStrictEqual(row, ["still here"])
    }).pipe(provided))

  it.live("starts empty when its directory was deleted", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir, "CREATE TABLE lost ()")
      yield* fs.remove(dataDir, { recursive: true })

      const [row] = yield* session(dataDir, "SELECT to_regclass('lost')")
      assert.deepStrictEqual(row, [null])
    }).pipe(provided))

  it.live("listens on loopback alone, in UTF-8 and UTC, as a superuser of its own", () =>
    Effect.gen(function* () {
      const connection = yield* start(yield* temporaryDataDir)

      assert.strictEqual(connection.host, "127.0.0.1")
      const settings = yield* query(
        connection,
        `SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories'),
          current_setting('server_encoding'), current_setting('TimeZone'), upper('é'),
          current_user::text, current_database()::text, rolsuper
        FROM pg_roles WHERE rolname = current_user`,
      )
      assert.deepStrictEqual(
        settings,
        ["127.0.0.1", "", "UTF8", "UTC", "É", "latchkey", "latchkey", true],
      )
    }).pipe(provided))

  it.live("lets nobody in without the password, which only its owner can read", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      const connection = yield* start(dataDir)

      const refusal = yield* query({ ...connection, password: Redacted.make("") }, "SELECT 1").pipe(
        Effect.flip,
      )
      assert.strictEqual(refusal.reason._tag, "AuthenticationError")
      const { mode } = yield* fs.stat(`${dataDir}/postgres/password`)
      assert.strictEqual(mode & 0o777, 0o600)
    }).pipe(provided))

  it.live("keeps rows that violate a constraint out of its log", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      const connection = yield* start(dataDir)
      yield* query(connection, "CREATE TABLE checked (secret text CHECK (secret = ''))")
      yield* Effect.flip(query(connection, "INSERT INTO checked VALUES ('hunter2')"))

      const log = yield* fs.readFileString(`${dataDir}/postgres/postgres.log`)
      assert.include(log, "checked_secret_check")
      assert.notInclude(log, "hunter2")
    }).pipe(provided))

  it.live("keeps its log from growing without bound", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir)
      const log = `${dataDir}/postgres/postgres.log`
      yield* fs.writeFileString(log, "an old line\n".repeat(1_000_000), { flag: "a" })

      yield* session(dataDir)
      assert.notInclude(yield* fs.readFileString(log), "an old line")
      assert.include(yield* fs.readFileString(`${log}.old`), "an old line")
    }).pipe(provided))

  it.live("lets one of several starts at once have a new directory", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDataDir
      const starts = yield* Effect.all(
        [1, 2, 3].map(() => Effect.result(start(dataDir))),
        { concurrency: "unbounded" },
      )

      const failures = starts.filter(Result.isFailure).map(({ failure }) => failure)
      assert.deepStrictEqual(failures.map(({ _tag }) => _tag), ["DataDirInUse", "DataDirInUse"])
    }).pipe(provided))

  it.live("refuses a directory in use, and names it and the process", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDataDir
      yield* start(dataDir)

      const { message } = yield* Effect.flip(start(dataDir))
      assert.include(message, dataDir)
      assert.include(message, `in use by process ${Deno.pid}.`)
    }).pipe(provided))
})

describe("an embedded PostgreSQL that cannot start", { concurrent: true }, () => {
  it.live("says that DATA_DIR is a file", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      yield* fs.writeFileString(dataDir, "")

      const failure = yield* Effect.flip(start(dataDir))
      assert.strictEqual(failure._tag, "DataDirUnusable")
      assert.include(failure.message, `DATA_DIR "${dataDir}"`)
    }).pipe(provided))

  it.live.skipIf(Deno.uid() === 0)(
    "says which characters its path must not have",
    () =>
      Effect.gen(function* () {
        const failure = yield* Effect.flip(start(`${yield* temporaryDataDir} "$HOME"`))
        assert.strictEqual(failure._tag, "DataDirUnusable")
        assert.include(failure.message, 'below a path with a ", $, ` or \\ in it. Choose another.')
      }).pipe(provided),
  )

  it.live("says what to do with the cluster of another version", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir)
      yield* fs.writeFileString(`${dataDir}/postgres/cluster/PG_VERSION`, "17\n")

      const failure = yield* Effect.flip(start(dataDir))
      assert.strictEqual(failure._tag, "DataDirUnusable")
      assert.include(failure.message, "its database is of PostgreSQL 17, and this is 18. Dump it")
    }).pipe(provided))

  it.live("quotes PostgreSQL", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir)
      const file = `${dataDir}/postgres/cluster/postgresql.conf`
      yield* fs.writeFileString(file, "no_such_setting = 1\n", { flag: "a" })

      const failure = yield* Effect.flip(start(dataDir))
      assert.strictEqual(failure._tag, "PostgresNotStarted")
      assert.include(failure.message, `unrecognized configuration parameter "no_such_setting"`)
    }).pipe(provided))

  it.live("says that the password is not that of the database", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir)
      yield* fs.writeFileString(`${dataDir}/postgres/password`, "another\n")

      const failure = yield* Effect.flip(start(dataDir))
      assert.strictEqual(failure._tag, "DataDirUnusable")
      assert.include(failure.message, "is not that of the database. Restore the file")
    }).pipe(provided))
})

/** Where root cannot hand `DATA_DIR` to the unprivileged user, as in a clone in its home. */
const closed = "a DATA_DIR below a directory closed to all but root"
describe.skipIf(Deno.uid() !== 0)(closed, () => {
  const closedDataDir = Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const dataDir = yield* temporaryDataDir
    yield* fs.chmod(dataDir.slice(0, dataDir.lastIndexOf("/")), 0o700)
    return dataDir
  })

  it.live("keeps its data across restarts, and when it is moved", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* closedDataDir
      const read = "SELECT word FROM kept"
      yield* session(dataDir, "CREATE TABLE kept AS SELECT 'still here' AS word")
      assert.deepStrictEqual(yield* session(dataDir, read), [["still here"]])
      yield* fs.rename(dataDir, `${dataDir} moved`)
      assert.deepStrictEqual(yield* session(`${dataDir} moved`, read), [["still here"]])
      yield* fs.rename(`${dataDir} moved`, dataDir)
    }).pipe(provided))

  it.live("does not share its data with a copy", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* closedDataDir
      yield* session(dataDir)
      const link = yield* fs.readLink(`${dataDir}/postgres`)
      yield* fs.makeDirectory(`${dataDir} copy`)
      yield* fs.symlink(link, `${dataDir} copy/postgres`)

      const failure = yield* Effect.flip(start(`${dataDir} copy`))
      assert.strictEqual(failure._tag, "DataDirUnusable")
      assert.include(failure.message, `it is a copy of ${dataDir}`)
    }).pipe(provided))

  it.live("does not take the database of a deleted directory for its own", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* closedDataDir
      yield* session(dataDir, "CREATE TABLE lost ()")
      const elsewhere = yield* fs.readLink(`${dataDir}/postgres`)
      yield* fs.remove(dataDir, { recursive: true })

      const [row] = yield* session(dataDir, "SELECT to_regclass('lost')")
      assert.deepStrictEqual(row, [null])
      yield* fs.remove(elsewhere, { recursive: true })
    }).pipe(provided))
})
