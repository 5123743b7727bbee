/**
 * `--check-config`: whether the service could start in this environment, as far as that can be known
 * without a connection, and what it would start with.
 */
import { Array, Console, Effect, FileSystem, Option, Redacted, Result } from "effect"
import { variables } from "../config/Config.ts"
import { ConfigInvalid } from "../config/ConfigInvalid.ts"
import { namesOf, read, type Variable } from "../config/ConfigVariable.ts"
import { misspelt } from "../config/misspelt.ts"
import { fitConnections, openFilesLimit } from "../config/openFiles.ts"
import { environment, load, type SettingsShape } from "../config/Settings.ts"
import type { Explained } from "./reportFailure.ts"

/** What a program needs besides variables that can be used, each by itself. */
export interface Requirement {
  /** Fails with a sentence where it is not met; what is wrong with a variable itself is told anyway. */
  readonly check: Effect.Effect<unknown, Explained, FileSystem.FileSystem>
}

/** What a variable holds; none where it cannot be used, which is told as such. */
export const valueOf = <A>(variable: Variable<A>) =>
  Effect.suspend(() => read(variable, environment())).pipe(Effect.option)

/** A value that is shown as it was written, but for what a URL holds to sign in with. */
const shown = (text: string): string => {
  const url = URL.parse(text)
  if (url === null || url.host === "" || url.username + url.password === "") return text
  url.username = "***"
  url.password = ""
  return url.href
}

const isSecret = (variable: Variable<unknown>, value: unknown) =>
  variable.file === true || Option.isOption(value) && Option.exists(value, Redacted.isRedacted)

/** A line about a variable that is set to something else than its default. */
const differing = Effect.fnUntraced(function* (
  variable: Variable<unknown>,
  names: Readonly<Record<string, string>>,
) {
  const name = namesOf(variable).find((name) => names[name] !== undefined)
  const text = name === undefined ? undefined : names[name]
  if (name === undefined || text === undefined || text === variable.default) return []
  if (name !== variable.name) return [`${name} = ${text}`]
  const value = yield* valueOf(variable)
  const secret = Option.match(value, {
    onNone: () => true,
    onSome: (value) => isSecret(variable, value),
  })
  return [`${name} ${secret ? "is set" : `= ${shown(text)}`}`]
})

const named = (): Readonly<Record<string, string>> =>
  Object.fromEntries(
    variables.flatMap(namesOf).flatMap((name) => {
      const text = Deno.env.get(name)
      return text === undefined ? [] : [[name, text]]
    }),
  )

/** Sentences about what the start would warn of. */
export const warningsOf = Effect.fnUntraced(function* (settings: SettingsShape) {
  const ofDatabase = [settings.database, settings.databaseRead].flatMap(Option.toArray)
    .flatMap(({ warnings }) => warnings)
  const { warning } = fitConnections(settings, yield* openFilesLimit)
  return [...ofDatabase, ...Option.toArray(warning)]
})

/** The variables of this process that look like those of the service, in sentences. */
export const misspeltHere = Effect.sync(() => {
  // A sandbox lets the service see its own variables only; whoever opens the sandbox tells of others.
  const all = Deno.permissions.querySync({ name: "env" }).state === "granted"
  return all ? misspelt(Deno.env.toObject()) : []
})

/**
 * Reads the whole environment as a start would. Fails with all that is wrong; otherwise prints what
 * differs from the defaults, and no secret. Starts and connects nothing.
 */
export const checkConfig = Effect.fnUntraced(function* (requirements: ReadonlyArray<Requirement>) {
  const loaded = yield* Effect.result(load())
  const results = yield* Effect.forEach(requirements, ({ check }) => Effect.result(check))
  const problems = [
    ...Result.isFailure(loaded) ? loaded.failure.problems : [],
    ...Array.getFailures(results).map(({ message }) => message),
  ]
  if (Array.isArrayNonEmpty(problems) || Result.isFailure(loaded)) {
    const [first = "The environment cannot be used.", ...others] = problems
    return yield* new ConfigInvalid({ problems: [first, ...others] })
  }
  const names = named()
  const differences = yield* Effect.forEach(variables, (variable) => differing(variable, names))
  const lines = differences.flat()
  const warnings = [...yield* warningsOf(loaded.success), ...yield* misspeltHere]
  yield* Effect.forEach(
    [
      "The environment can be used.",
      lines.length === 0
        ? "All settings have their defaults."
        : "Settings that differ from their defaults:",
      ...lines.map((line) => `  ${line}`),
      ...warnings.map((warning) => `Warning: ${warning}`),
    ],
    (line) => Console.log(line),
    { discard: true },
  )
})
