import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Redacted, Result } from "effect"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import { accountOf, query, session, start, temporaryDataDir } from "../support/EmbeddedServer.ts"

/** The lines of the system's tables of TCP sockets that belong to the server's process. */
const listenersOf = Effect.fnUntraced(function* (connection: ConnectionParameters) {
  const fs = yield* FileSystem.FileSystem
  const row = yield* query(connection, "SELECT current_setting('data_directory')")
  const pid = (yield* fs.readFileString(`${row?.[0]}/postmaster.pid`)).split("\n")[0]
  const descriptors = `/proc/${pid}/fd`
  const open = yield* Effect.forEach(
    yield* fs.readDirectory(descriptors),
    (name) => Effect.orElseSucceed(fs.readLink(`${descriptors}/${name}`), () => ""),
  )
  const tables = yield* Effect.forEach(
    ["tcp", "tcp6"],
    (table) => fs.readFileString(`/proc/net/${table}`),
  )
  const sockets = open.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? [])
  return tables.flatMap((table) => table.split("\n")).filter((line) =>
    sockets.includes(line.trim().split(/\s+/)[9] ?? "")
  )
})

const hasPsql =
  new Deno.Command("/bin/sh", { args: ["-c", "command -v psql"], stdout: "null" }).outputSync()
    .success

const provided = Effect.provide(NodeServices.layer)

describe("the embedded PostgreSQL", { concurrent: true }, () => {
  it.live("keeps its data across restarts", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir, "CREATE TABLE kept AS SELECT 'still here' AS word")

      const [row] = yield* session(dataDir, "SELECT word FROM kept")
      assert.deepStrictEqual(row, ["still here"])
    }).pipe(provided))

  it.live("keeps the data of versions that listened at a port, with a password", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir, "CREATE TABLE kept AS SELECT 'still here' AS word")
      const directory = `${dataDir}/postgres`
      const account = yield* accountOf(dataDir)
      for (const name of ["latchkey_hba.conf", "latchkey_ident.conf", "postgres.log"]) {
        yield* fs.remove(`${directory}/cluster/${name}`)
      }
      for (
        const [name, content] of [
          [
            "cluster/pg_hba.conf",
            "local all all reject\nhost all all 127.0.0.1/32 scram-sha-256\n",
          ],
          ["password", "hunter2\n"],
          ["postgres.log", "an old line\n"],
        ] as const
      ) {
        yield* fs.writeFileString(`${directory}/${name}`, content)
        if (account !== undefined) {
          yield* fs.chown(`${directory}/${name}`, account.uid, account.gid)
        }
      }

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

  it.live("listens at a private socket alone, in UTF-8 and UTC, as a superuser of its own", () =>
    Effect.gen(function* () {
      const connection = yield* start(yield* temporaryDataDir)

      assert.deepStrictEqual(yield* listenersOf(connection), [])
      const settings = yield* query(
        connection,
        `SELECT current_setting('listen_addresses'), current_setting('unix_socket_permissions'),
          current_setting('server_encoding'), current_setting('TimeZone'), upper('é'),
          current_user::text, current_database()::text, rolsuper
        FROM pg_roles WHERE rolname = current_user`,
      )
      assert.deepStrictEqual(
        settings,
        ["", "0700", "UTF8", "UTC", "É", "latchkey", "latchkey", true],
      )
    }).pipe(provided))

  it.live.skipIf(!hasPsql)(
    "lets psql in without a password (skipped without psql)",
    () =>
      Effect.gen(function* () {
        const { host = "", username = "" } = yield* start(yield* temporaryDataDir)

        const psql = yield* Effect.promise(() =>
          new Deno.Command("psql", {
            args: ["-h", host, "-U", username, "-Atc", "SELECT current_user"],
          }).output()
        )
        assert.strictEqual(new TextDecoder().decode(psql.stdout), "latchkey\n")
      }).pipe(provided),
  )

  it.live("wants a password of other roles", () =>
    Effect.gen(function* () {
      const connection = yield* start(yield* temporaryDataDir)
      yield* query(connection, "CREATE ROLE guest LOGIN PASSWORD 'hunter2'")
      const guest = { ...connection, username: "guest" }

      const refusal = yield* Effect.flip(query(guest, "SELECT 1"))
      assert.strictEqual(refusal.reason._tag, "AuthenticationError")
      const password = Redacted.make("hunter2")
      assert.deepStrictEqual(yield* query({ ...guest, password }, "SELECT 1"), [1])
    }).pipe(provided))

  it.live("starts where the path of DATA_DIR is too long for a socket", () =>
    Effect.gen(function* () {
      const connection = yield* start(`${yield* temporaryDataDir}/${"long/".repeat(30)}data`)
      assert.isBelow(`${connection.host}/.s.PGSQL.${connection.port}`.length, 104)
      assert.deepStrictEqual(yield* query(connection, "SELECT 1"), [1])
    }).pipe(provided))

  it.live("keeps rows that violate a constraint out of its log", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      const connection = yield* start(dataDir)
      yield* query(connection, "CREATE TABLE checked (secret text CHECK (secret = ''))")
      yield* Effect.flip(query(connection, "INSERT INTO checked VALUES ('hunter2')"))

      const log = yield* fs.readFileString(`${dataDir}/postgres/cluster/postgres.log`)
      assert.include(log, "checked_secret_check")
      assert.notInclude(log, "hunter2")
    }).pipe(provided))

  it.live("keeps its log from growing without bound", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir)
      const log = `${dataDir}/postgres/cluster/postgres.log`
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

  it.live("prints nothing of what PostgreSQL writes that a terminal would obey", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir)
      const file = `${dataDir}/postgres/cluster/postgresql.conf`
      yield* fs.writeFileString(file, "\u001b[2J = 1\n", { flag: "a" })

      const { message } = yield* Effect.flip(start(dataDir))
      assert.include(message, 'near token "?"')
      assert.notInclude(message, "\u001b")
    }).pipe(provided))

  it.live("says what to do with a cluster that is not complete, and does not touch it", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir)
      const cluster = `${dataDir}/postgres/cluster`
      yield* fs.remove(`${cluster}/PG_VERSION`)
      const before = yield* fs.readDirectory(cluster, { recursive: true })

      const failure = yield* Effect.flip(start(dataDir))
      assert.strictEqual(failure._tag, "DataDirUnusable")
      assert.include(failure.message, "cannot be used (it has no file PG_VERSION). Mend that, or")
      assert.includeMembers(yield* fs.readDirectory(cluster, { recursive: true }), before)
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
