import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Result } from "effect"
import { createServer } from "node:net"
import { script, unprivileged } from "../../src/embedded/Account.ts"
import * as DataDir from "../../src/embedded/DataDir.ts"
import * as Postmaster from "../../src/embedded/Postmaster.ts"
import {
  accountOf,
  eventually,
  query,
  session,
  spawnAs,
  start,
  temporaryDataDir,
} from "../support/EmbeddedServer.ts"

const provided = Effect.provide(NodeServices.layer)

const secret = "known to root alone"

/** A file of root's that nobody else may read, larger than a log may be, and whether it is as it was. */
const makeVictim = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-victim-" })
  yield* fs.chmod(directory, 0o755)
  const path = `${directory}/victim`
  yield* fs.writeFileString(path, `${secret}\n`.repeat(600_000), { mode: 0o600 })
  const look = Effect.gen(function* () {
    const { uid, gid, mode, mtime, nlink } = yield* fs.stat(path)
    return { uid, gid, mode, mtime, nlink, content: yield* fs.readFileString(path) }
  })
  const before = yield* look
  const assertUntouched = Effect.map(look, (after) => assert.deepStrictEqual(after, before))
  return { path, assertUntouched }
})

/** A directory that belongs to an unprivileged user, inside one of root's. */
const makeForeignDataDir = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const dataDir = yield* temporaryDataDir
  const account = yield* unprivileged
  yield* fs.makeDirectory(dataDir)
  yield* fs.chown(dataDir, account.uid, account.gid)
  return { dataDir, account }
})

const needsRoot = "root beside the account of its embedded server (skipped for other users)"
describe.skipIf(Deno.uid() !== 0)(needsRoot, { timeout: 300_000 }, () => {
  it.live.each([
    "postmaster.pid",
    "postmaster.pid.new",
    "postgres.log",
    "latchkey_hba.conf",
    "latchkey_ident.conf",
    "PG_VERSION",
  ])("follows no link that the account puts in the place of %s", (name) =>
    Effect.gen(function* () {
      const victim = yield* makeVictim
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir)
      // A server that was killed leaves its file, which is written anew.
      const plant = `cd -- "$1"
printf '%s\n' 2147483646 "$1" c d e f g h >postmaster.pid
ln -sf -- "$2" "$3"`
      yield* script(yield* accountOf(dataDir), plant, [
        `${dataDir}/postgres/cluster`,
        victim.path,
        name,
      ])

      const started = yield* Effect.scoped(Effect.result(start(dataDir)))
      if (Result.isFailure(started)) assert.notInclude(started.failure.message, secret)
      yield* victim.assertUntouched
    }).pipe(provided))

  it.live("waits for no pipe in the place of postmaster.pid", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir)
      yield* script(
        yield* accountOf(dataDir),
        `mkfifo -- "$1/postmaster.pid"`,
        [`${dataDir}/postgres/cluster`],
      )

      const failure = yield* Effect.flip(start(dataDir))
      assert.include(failure.message, "postmaster.pid is not a plain file")
    }).pipe(provided))

  it.live("wins no race for postmaster.pid", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const victim = yield* makeVictim
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir)
      const opened = yield* DataDir.open(dataDir)
      const race = `cd -- "$1"
while :; do
  printf '%s\n' 2147483646 b c d e f g h >postmaster.pid
  ln -sf -- "$2" postmaster.pid
  rm -f postmaster.pid
done`
      yield* spawnAs(yield* accountOf(dataDir), [
        "/bin/sh",
        "-c",
        race,
        "sh",
        opened.cluster,
        victim.path,
      ])
      yield* eventually(
        Effect.map(
          fs.readDirectory(opened.cluster),
          (names) => names.includes("postmaster.pid"),
        ),
      )

      for (let attempt = 0; attempt < 100; attempt++) {
        // What the account makes it fail with is its own trouble.
        yield* Effect.result(Postmaster.takeOver(opened))
        yield* victim.assertUntouched
      }
    }).pipe(provided))

  it.live("ends no process of another user that is named in postmaster.pid", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      yield* session(dataDir)
      const cluster = `${yield* fs.realPath(`${dataDir}/postgres`)}/cluster`
      const bystander = yield* spawnAs(
        undefined,
        ["/usr/bin/tail", "-f", "/dev/null", `x/postgres -D ${cluster} -c y`],
        cluster,
      )
      const pidFile = `${cluster}/postmaster.pid`
      yield* fs.writeFileString(pidFile, `${bystander.pid}\n${cluster}\n\n\n\n\n\n`)

      yield* session(dataDir, "SELECT 1")
      bystander.kill("SIGTERM")
      assert.strictEqual((yield* Effect.promise(() => bystander.status)).signal, "SIGTERM")
    }).pipe(provided))

  it.live("connects to no other socket that the account puts in the place of its server's", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      const connection = yield* start(dataDir)
      const elsewhere = `${yield* fs.makeTempDirectoryScoped()}/socket`
      let visitors = 0
      const impostor = createServer((socket) => {
        visitors++
        socket.destroy()
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => {
          impostor.listen(elsewhere, () => resume(Effect.void))
        }),
        () => Effect.sync(() => impostor.close()),
      )
      yield* script(
        yield* accountOf(dataDir),
        `ln -sf -- "$2" "$1/server/.s.PGSQL.5432"`,
        [connection.host ?? "", elsewhere],
      )

      assert.deepStrictEqual(yield* query(connection, "SELECT 1"), [1])
      assert.strictEqual(visitors, 0)
    }).pipe(provided))

  it.live("runs as the user to whom DATA_DIR belongs, and leaves nothing of its own there", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const { dataDir, account } = yield* makeForeignDataDir
      yield* session(dataDir, "SELECT 1")

      const names = yield* fs.readDirectory(dataDir, { recursive: true })
      assert.includeMembers(names, ["postgres.lock", "postgres/cluster/PG_VERSION"])
      for (const name of ["", ...names]) {
        const { uid } = yield* Effect.promise(() => Deno.lstat(`${dataDir}/${name}`))
        assert.strictEqual(uid, account.uid, name)
      }
    }).pipe(provided))

  it.live.each(
    [
      ["link", `ln -s -- "$2" "$1"`],
      ["pipe", `mkfifo -- "$1"`],
      ["directory", `mkdir -- "$1"`],
    ] as const,
  )("refuses a lock that is a %s", ([, make]) =>
    Effect.gen(function* () {
      const victim = yield* makeVictim
      const { dataDir, account } = yield* makeForeignDataDir
      const lock = `${dataDir}/postgres.lock`
      yield* script(account, make, [lock, victim.path])

      const failure = yield* Effect.flip(start(dataDir))
      assert.strictEqual(failure._tag, "DataDirUnusable")
      assert.include(failure.message, lock)
      yield* victim.assertUntouched
    }).pipe(provided))

  it.live("refuses a link in the place of the directory of the data", () =>
    Effect.gen(function* () {
      const { dataDir, account } = yield* makeForeignDataDir
      const other = yield* temporaryDataDir
      yield* session(other)
      yield* script(account, `ln -s -- "$2/postgres" "$1/postgres"`, [dataDir, other])

      const failure = yield* Effect.flip(start(dataDir))
      assert.strictEqual(failure._tag, "DataDirUnusable")
      assert.include(failure.message, `${dataDir}/postgres is a link of user ${account.uid}`)
    }).pipe(provided))

  it.live("refuses a DATA_DIR that is a link of another user", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const { dataDir, account } = yield* makeForeignDataDir
      const target = `${yield* fs.makeTempDirectoryScoped()}/target`
      yield* fs.makeDirectory(target)
      yield* script(account, `ln -s -- "$2" "$1"`, [`${dataDir}/link`, target])

      for (const path of ["link", "link/below"]) {
        const failure = yield* Effect.flip(start(`${dataDir}/${path}`))
        assert.strictEqual(failure._tag, "DataDirUnusable")
        assert.include(failure.message, `${dataDir}/link is a link of user ${account.uid}`)
      }
      assert.deepStrictEqual(yield* fs.readDirectory(target), [])
    }).pipe(provided))

  it.live("follows a DATA_DIR that is a link of its own", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      yield* fs.makeDirectory(dataDir)
      yield* fs.symlink(dataDir, `${dataDir} link`)
      yield* session(`${dataDir} link`, "CREATE TABLE kept ()")
      assert.deepStrictEqual(yield* session(dataDir, "SELECT count(*)::int FROM kept"), [[0]])
    }).pipe(provided))

  it.live.each([0o777, 0o1777])(
    "refuses a DATA_DIR of its own with mode %i",
    (mode) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const dataDir = yield* temporaryDataDir
        yield* fs.makeDirectory(dataDir)
        yield* fs.chmod(dataDir, mode)

        const failure = yield* Effect.flip(start(dataDir))
        assert.strictEqual(failure._tag, "DataDirUnusable")
        assert.include(failure.message, "other users can write to it")
        assert.deepStrictEqual(yield* fs.readDirectory(dataDir), [])
      }).pipe(provided),
  )

  it.live("refuses a DATA_DIR that a stranger may have been first to make", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const { dataDir } = yield* makeForeignDataDir
      yield* fs.chmod(dataDir.slice(0, dataDir.lastIndexOf("/")), 0o1777)

      const failure = yield* Effect.flip(start(dataDir))
      assert.strictEqual(failure._tag, "DataDirUnusable")
      assert.include(failure.message, "is where anybody could have made it")
    }).pipe(provided))
})
