/**
 * How one environment variable is read: what it may hold is a schema, and what is wrong with it is a
 * sentence that names it and says what it wants. No sentence quotes a value: it may be a secret, also
 * where none is expected (a password pasted into the wrong variable).
 */
import {
  Config,
  type ConfigProvider,
  Effect,
  FileSystem,
  Option,
  Schema,
  SchemaIssue,
} from "effect"
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

const lookUp = Effect.fnUntraced(function* (name: string, provider: ConfigProvider.ConfigProvider) {
  const text = yield* Config.option(Config.String(name)).parse(provider).pipe(
    Effect.mapError(() => invalid(`${name} cannot be read from the environment.`)),
  )
  if (Option.contains(text, "")) {
    return yield* invalid(`${name} is set but empty; give it a value or unset it.`)
  }
  return text
})

const readSecretFile = Effect.fnUntraced(function* (name: string, path: string) {
  const fs = yield* FileSystem.FileSystem
  const content = yield* fs.readFileString(path).pipe(
    Effect.mapError((error) =>
      invalid(`${name} names ${path}, which cannot be read (${error.reason._tag}).`)
    ),
  )
  // Editors and `echo` end a file with a line end that is no part of the secret.
  const secret = content.replace(/\r?\n$/, "")
  if (secret === "") return yield* invalid(`${name} names ${path}, which is empty.`)
  return secret
})

const text = Effect.fnUntraced(function* (
  variable: Description,
  provider: ConfigProvider.ConfigProvider,
) {
  const own = yield* lookUp(variable.name, provider)
  if (!variable.file) return own
  const fileName = `${variable.name}_FILE`
  const path = yield* lookUp(fileName, provider)
  if (Option.isNone(path)) return own
  if (Option.isSome(own)) {
    return yield* invalid(`${variable.name} and ${fileName} are both set; unset one of them.`)
  }
  return Option.some(yield* readSecretFile(fileName, path.value))
})

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/** Where a list goes wrong, counted from 1; names within it are not shown. */
const entryOf = ({ issue }: Schema.SchemaError): string => {
  const [entry] = formatIssue(issue).issues[0]?.path ?? []
  return typeof entry === "number" ? `; entry ${entry + 1} is not` : ""
}

/** Reads a variable, from its file where that is named instead. */
export const read = Effect.fn("ConfigVariable.read")(function* <A>(
  variable: Variable<A>,
  provider: ConfigProvider.ConfigProvider,
): Effect.fn.Return<A, ConfigInvalid, FileSystem.FileSystem> {
  const value = yield* text(variable, provider)
  return yield* Effect.mapError(
    variable.decode(value),
    (error) => invalid(`${variable.name} must be ${variable.wants}${entryOf(error)}.`),
  )
})
