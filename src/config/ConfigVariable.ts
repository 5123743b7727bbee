/**
 * How one environment variable is read: what it may hold is a schema, and what is wrong with it is a
 * sentence that names it and says what it wants. No sentence quotes a value: it may be a secret, also
 * where none is expected (a password pasted into the wrong variable).
 */
import { type ConfigProvider, Effect, FileSystem, Option, Schema } from "effect"
import { ConfigInvalid } from "./ConfigInvalid.ts"

/** What documentation says about a variable. */
export interface Description {
  readonly name: string
  /** Completes "NAME must be …". */
  readonly wants: string
  readonly meaning: string
  /** What is used when it is not set: a value as it would be written, or what happens instead. */
  readonly default: string
  /** Whether `NAME_FILE` may name a file that holds the value instead. */
  readonly file?: boolean
  /** What exactly is wrong with a text that was refused, where that can be told without quoting it. */
  readonly explain?: (text: string) => string | undefined
}

export interface Variable<A> extends Description {
  readonly decode: (text: Option.Option<string>) => Effect.Effect<A, Schema.SchemaError>
}

/** A variable that always has a value: its default is read like one that was set. */
export const variable = <A>(
  schema: Schema.ConstraintCodec<A, string>,
  description: Description,
): Variable<A> => {
  const decode = Schema.decodeEffect(schema, { onExcessProperty: "error" })
  return {
    ...description,
    decode: (text) => decode(Option.getOrElse(text, () => description.default)),
  }
}

/** A variable that may be absent; its default is described in words. */
export const optional = <A>(
  schema: Schema.ConstraintCodec<A, string>,
  description: Description,
): Variable<Option.Option<A>> => {
  const decode = Schema.decodeEffect(schema, { onExcessProperty: "error" })
  return {
    ...description,
    decode: Option.match({
      onNone: () => Effect.succeedNone,
      onSome: (text) => Effect.asSome(decode(text)),
    }),
  }
}

/** Names that a variable is read from: its own, and that of its file. */
export const namesOf = ({ name, file }: Description): ReadonlyArray<string> =>
  file ? [name, `${name}_FILE`] : [name]

const invalid = (problem: string) => new ConfigInvalid({ problems: [problem] })

/** The text of a variable, if it is set; fails where it is empty. */
export const lookUp = Effect.fnUntraced(function* (
  name: string,
  provider: ConfigProvider.ConfigProvider,
) {
  // Not by a `Config`: a hundred of them would take longer than the rest of the start.
  const node = yield* Effect.mapError(
    provider.load([name]),
    () => invalid(`${name} cannot be read from the environment.`),
  )
  const text = Option.fromNullishOr(node?.value)
  if (Option.contains(text, "")) {
    return yield* invalid(`${name} is set but empty; give it a value or unset it.`)
  }
  return text
})

/** Far more than any secret takes, and little enough to be read again every few seconds. */
const largestFile = 1024 * 1024

/** A pipe that nobody writes to would otherwise hold up the start for ever. */
const patience = "10 seconds"

/** Why a file is not even read; undefined if it is. */
const unreadable = ({ type, size }: FileSystem.File.Info): string | undefined =>
  type === "Directory"
    ? "it is a directory"
    : type !== "File" && type !== "FIFO"
    ? "it is not a file"
    : size > largestFile
    ? "it is larger than 1 MiB"
    : undefined

const readBounded = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  const reason = unreadable(yield* fs.stat(path))
  if (reason !== undefined) return yield* Effect.fail(reason)
  return yield* fs.readFileString(path)
}, Effect.catchTag("PlatformError", ({ reason }) => Effect.fail(reason._tag)))

/**
 * Whether a variable's value comes through a pipe, as `NAME_FILE=<(command)` of a shell makes one: what
 * was read from it is gone, and another read would wait for ever.
 */
export const isPipe = Effect.fnUntraced(function* (
  { name }: Description,
  provider: ConfigProvider.ConfigProvider,
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* lookUp(`${name}_FILE`, provider)
  return Option.isSome(path) && (yield* fs.stat(path.value)).type === "FIFO"
  // What is wrong with the variable or its file is told by whoever reads it.
}, Effect.orElseSucceed(() => false))

/** What the file that a variable names holds; fails where it cannot be read or is empty. */
export const readNamedFile = Effect.fnUntraced(function* (name: string, path: string) {
  const content = yield* readBounded(path).pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.fail(`it took longer than ${patience}`),
    }),
    Effect.mapError((reason) =>
      invalid(`${name} names ${path}, which cannot be read (${reason}).`)
    ),
  )
  // Editors and `echo` end a file with a line end that is no part of the secret.
  const secret = content.replace(/\r?\n$/, "")
  if (secret === "") return yield* invalid(`${name} names ${path}, which is empty.`)
  return secret
})

interface Found {
  readonly text: string
  /** Begins a sentence about the text, which goes on with what the variable wants. */
  readonly origin: string
}

const find = Effect.fnUntraced(function* (
  variable: Description,
  provider: ConfigProvider.ConfigProvider,
): Effect.fn.Return<Option.Option<Found>, ConfigInvalid, FileSystem.FileSystem> {
  const own = Option.map(
    yield* lookUp(variable.name, provider),
    (text) => ({ text, origin: `${variable.name} must be` }),
  )
  if (!variable.file) return own
  const fileName = `${variable.name}_FILE`
  const path = yield* lookUp(fileName, provider)
  if (Option.isNone(path)) return own
  if (Option.isSome(own)) {
    return yield* invalid(`${variable.name} and ${fileName} are both set; unset one of them.`)
  }
  const text = yield* readNamedFile(fileName, path.value)
  return Option.some({ text, origin: `${fileName} names ${path.value}, which must hold` })
})

const refusal = ({ name, wants, explain }: Description, found: Option.Option<Found>): string =>
  Option.match(found, {
    onNone: () => `${name} must be ${wants}.`,
    onSome: ({ text, origin }) => {
      const problem = explain?.(text)
      return `${origin} ${wants}${problem === undefined ? "" : `; ${problem}`}.`
    },
  })

/** Reads a variable, from its file where that is named instead. */
export const read = Effect.fnUntraced(function* <A>(
  variable: Variable<A>,
  provider: ConfigProvider.ConfigProvider,
): Effect.fn.Return<A, ConfigInvalid, FileSystem.FileSystem> {
  const found = yield* find(variable, provider)
  return yield* Effect.mapError(
    variable.decode(Option.map(found, ({ text }) => text)),
    () => invalid(refusal(variable, found)),
  )
})
