/**
 * A key for trying the service out, made when none is configured.
 */
import { createHash, randomBytes } from "node:crypto"
import { Effect, Option, Path, Schema } from "effect"
import { isIP } from "node:net"
import { ApiKey } from "../domain/ApiKey.ts"

/** Without keys, everybody who reaches the service could do everything. */
export class ApiKeysMissing extends Schema.TaggedError<ApiKeysMissing>()("ApiKeysMissing", {
  host: Schema.String,
}) {
  override get message() {
    return `HOST is ${this.host}, which others can reach, but there are no keys: set API_KEYS or ` +
      `API_KEYS_FILE, or listen on 127.0.0.1 for development.`
  }
}

const isLoopback = (host: string) =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."))

/** Fails where others can reach a service without configured keys. */
export const requireLoopback = (host: string) =>
  isLoopback(host) ? Effect.void : Effect.fail(new ApiKeysMissing({ host }))

/** The file with the key cannot be used as it is, or not be made. */
export class DevelopmentKeyUnusable
  extends Schema.TaggedError<DevelopmentKeyUnusable>()("DevelopmentKeyUnusable", {
    file: Schema.String,
    /** What is wrong, in sentences. */
    detail: Schema.String,
  }) {
  override get message() {
    return `The development key in ${this.file} cannot be used: ${this.detail} It is not needed ` +
      `with API_KEYS, and is another one in another DATA_DIR.`
  }
}

/** A key that somebody wrote by hand may be longer than ours. */
const maxLength = 1024

const attempt = <A>(file: string, evaluate: () => Promise<A>) =>
  Effect.tryPromise({
    try: evaluate,
    catch: (cause) =>
      new DevelopmentKeyUnusable({
        file,
        detail: `${cause instanceof Error ? cause.message : cause}.`,
      }),
  })

const lstat = (path: string) =>
  attempt(path, () =>
    Deno.lstat(path).then(
      Option.some,
      (error) => error instanceof Deno.errors.NotFound ? Option.none() : Promise.reject(error),
    ))

/** Why the file may hold a key that others know, or have others' file read in its place. */
const flaw = ({ isFile, uid, mode }: Deno.FileInfo, directory: Deno.FileInfo) => {
  if (!isFile) return "it is not a plain file. Delete it to have a key made."
  // Root may be sent to another user's directory, who can do as he likes there anyway.
  const self = Deno.uid()
  if (uid !== self && !(self === 0 && uid === directory.uid)) {
    return `it belongs to user ${uid}. Start as that user.`
  }
  if (mode !== null && (mode & 0o077) !== 0) {
    return "other users have rights to it. Delete it to have another key made."
  }
  return undefined
}

const read = Effect.fnUntraced(function* (
  file: string,
  named: Deno.FileInfo,
  directory: Deno.FileInfo,
) {
  const unusable = (detail: string) => new DevelopmentKeyUnusable({ file, detail })
  const found = flaw(named, directory)
  if (found !== undefined) return yield* unusable(found)
  const opened = yield* Effect.acquireRelease(
    attempt(file, () => Deno.open(file)),
    (opened) => Effect.sync(() => opened.close()),
  )
  // What was looked at by its name is not what is open, if it was replaced in between.
  const { dev, ino } = yield* attempt(file, () => opened.stat())
  if (dev !== named.dev || ino !== named.ino) {
    return yield* unusable("it was replaced just now. Start again.")
  }
  const content = new Uint8Array(maxLength)
  const length = yield* attempt(file, () => opened.read(content))
  const key = new TextDecoder().decode(content.subarray(0, length ?? 0)).trim()
  return key === "" ? yield* unusable("it is empty. Delete it to have a key made.") : key
}, Effect.scoped)

/** Whether the file did not exist yet and is now another name of `unfinished`. */
const link = (unfinished: string, file: string) =>
  attempt(file, () =>
    Deno.link(unfinished, file).then(
      () => true,
      (error) => error instanceof Deno.errors.AlreadyExists ? false : Promise.reject(error),
    ))

/** Makes a key. The file gets its name when it is complete; the key of whoever was first stays. */
const make = Effect.fnUntraced(function* (
  directory: string,
  file: string,
  announce: (message: string) => Effect.Effect<void>,
) {
  const key = `latchkey_dev_${randomBytes(24).toString("base64url")}`
  const unfinished = `${file}.${crypto.randomUUID()}`
  const isFirst = yield* Effect.acquireUseRelease(
    attempt(
      file,
      () => Deno.writeTextFile(unfinished, `${key}\n`, { createNew: true, mode: 0o600 }),
    ),
    () => link(unfinished, file),
    () => attempt(file, () => Deno.remove(unfinished)),
  )
  if (!isFirst) return yield* readOrMake(directory, announce)
  yield* announce(`Development key, good for everything, kept in ${file}: ${key}`)
  return key
})

/** Reads the key that an earlier start made, or makes one and prints it, this once. */
const readOrMake: (
  directory: string,
  announce: (message: string) => Effect.Effect<void>,
) => Effect.Effect<string, DevelopmentKeyUnusable, Path.Path> = Effect.fnUntraced(
  function* (directory, announce) {
    const path = yield* Path.Path
    const file = path.join(directory, "development-key")
    yield* attempt(file, () => Deno.mkdir(directory, { recursive: true, mode: 0o700 }))
    const named = yield* lstat(file)
    if (Option.isNone(named)) return yield* make(directory, file, announce)
    const key = yield* read(file, named.value, yield* attempt(file, () => Deno.stat(directory)))
    yield* Effect.logInfo(`The development key is in ${file}`)
    return key
  },
)

/** The one key of a service without configured keys, which must listen on a loopback host. */
export const developmentKeys = Effect.fn("developmentKeys")(function* (
  { host, dataDir, announce }: {
    readonly host: string
    readonly dataDir: string
    /** Tells the person who started the service of a key that was made, and nobody else. */
    readonly announce: (message: string) => Effect.Effect<void>
  },
) {
  yield* requireLoopback(host)
  const key = yield* readOrMake(dataDir, announce)
  const sha256 = createHash("sha256").update(key).digest("hex")
  return [new ApiKey({ name: "development", sha256, scopes: ["*"] })]
})
