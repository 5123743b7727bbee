/**
 * A key for trying the service out, made when none is configured.
 */
import { createHash, randomBytes } from "node:crypto"
import { Console, Effect, FileSystem, Path, Schema } from "effect"
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

/** Reads the key that an earlier start made, or makes one and prints it, this once. */
const readOrMake = Effect.fnUntraced(function* (dataDir: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = path.join(dataDir, "development-key")
  if (yield* fs.exists(file)) {
    yield* Effect.logInfo(`The development key is in ${file}`)
    return (yield* fs.readFileString(file)).trim()
  }
  const key = `latchkey_dev_${randomBytes(24).toString("base64url")}`
  yield* fs.makeDirectory(dataDir, { recursive: true })
  yield* fs.writeFileString(file, `${key}\n`, { flag: "wx", mode: 0o600 })
  yield* Console.log(`Development key, good for everything, kept in ${file}:\n\n  ${key}\n`)
  return key
})

/** The one key of a service without configured keys, which must listen on a loopback host. */
export const developmentKeys = Effect.fn("developmentKeys")(function* (
  options: { readonly host: string; readonly dataDir: string },
) {
  if (!isLoopback(options.host)) return yield* new ApiKeysMissing({ host: options.host })
  const key = yield* readOrMake(options.dataDir)
  const sha256 = createHash("sha256").update(key).digest("hex")
  return [new ApiKey({ name: "development", sha256, scopes: ["*"] })]
})
