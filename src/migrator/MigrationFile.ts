/**
 * One migration as it lies in `migrations/`: `NNNN_snake_case_name.sql`, UTF-8, plain SQL.
 *
 * Two comments at the top of a file are instructions:
 *
 * - `-- no-transaction` as the first line: run statement by statement, outside a transaction.
 * - `-- compatible-with: NNNN` in the header: code that knows migrations up to NNNN, but not this one,
 *   may keep running on the migrated database.
 */
import { Array, Data, Effect, Schema } from "effect"
import { Digest } from "effect/crypto"

/** A file in the migrations' directory that can't be taken for a migration. */
export class MigrationFileInvalid
  extends Schema.TaggedError<MigrationFileInvalid>()("MigrationFileInvalid", {
    file: Schema.String,
    problem: Schema.String,
  }) {
  override get message() {
    return `migrations/${this.file} ${this.problem}.`
  }
}

const invalid = (file: string, problem: string) => new MigrationFileInvalid({ file, problem })

const fileName = /^(\d{4,9})_([a-z0-9]+(?:_[a-z0-9]+)*)\.sql$/
const noTransaction = /^--[ \t]*no-transaction[ \t]*$/
const compatibleWith = /^--[ \t]*compatible-with:(.*)$/

export class MigrationFile extends Data.Class<{
  /** The number that orders migrations, 1 or more. */
  readonly id: number
  /** The file's name without number and extension. */
  readonly name: string
  readonly file: string
  /** The SQL, with LF line ends whatever the checkout made of them. */
  readonly script: string
  /** SHA-256 of `script`, in lower case hex. */
  readonly sha256: string
  readonly noTransaction: boolean
  /** The number of the oldest migration whose code may run on the migrated database. */
  readonly compatibleWith: number | null
}> {
  /** Reads a file's name and content. */
  static readonly parse = Effect.fnUntraced(function* (file: string, content: Uint8Array) {
    const [, digits, name] = fileName.exec(file) ?? []
    const id = Number(digits)
    if (name === undefined || id === 0) {
      return yield* invalid(file, "is not named NNNN_snake_case_name.sql; rename it")
    }
    const script = (yield* decode(file, content)).replaceAll("\r\n", "\n")
    const header = Array.takeWhile(
      script.split("\n"),
      (line) => line.startsWith("--") || line.trim() === "",
    )
    return new MigrationFile({
      id,
      name,
      file,
      script,
      sha256: yield* (yield* Digest.Digest).digestHex(
        Digest.sha256,
        new TextEncoder().encode(script),
      ),
      noTransaction: noTransaction.test(header[0] ?? ""),
      compatibleWith: yield* readCompatibleWith(file, id, header),
    })
  }, Effect.provide(Digest.layerWebCrypto))
}

const decode = Effect.fnUntraced(function* (file: string, content: Uint8Array) {
  // ignoreBOM keeps the mark in the text, where it can be seen.
  const text = yield* Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content),
    catch: () => invalid(file, "is not valid UTF-8; save it as UTF-8"),
  })
  return text.startsWith("\uFEFF")
    ? yield* invalid(file, "begins with a byte order mark; save it as UTF-8 without one")
    : text
})

const readCompatibleWith = Effect.fnUntraced(
  function* (file: string, id: number, header: ReadonlyArray<string>) {
    const value = header.map((line) => compatibleWith.exec(line)?.[1]?.trim())
      .find((value) => value !== undefined)
    if (value === undefined) {
      return null
    }
    const number = Number(value)
    return /^\d+$/.test(value) && number < id
      ? number
      : yield* invalid(file, `has a compatible-with header that is not a number below its own`)
  },
)
