/**
 * What can be known of the environment without a connection.
 */
import { Effect, Option } from "effect"
import type { ConfigInvalid } from "../config/ConfigInvalid.ts"
import { misspelt } from "../config/misspelt.ts"
import { fitConnections, openFilesLimit } from "../config/openFiles.ts"
import type { SettingsShape } from "../config/Settings.ts"
import type { ApiKey } from "../domain/ApiKey.ts"
import { requireLoopback } from "../operations/DevelopmentKey.ts"
import type { Check } from "./Check.ts"
import { error, ok, type Seen, warning } from "./Finding.ts"

/** The names of the checks of settings, for where there are none. */
export const ofSettings = [
  { group: "environment", name: "api-keys" },
  { group: "environment", name: "open-files" },
] as const

/** Whether every variable can be used. */
export const variablesUsable = (invalid: Option.Option<ConfigInvalid>): Check => ({
  group: "environment",
  name: "variables",
  look: Effect.succeed(Option.match(invalid, {
    onNone: () => ok("All variables can be used."),
    onSome: ({ problems }) =>
      problems.map((problem) =>
        error(problem, "Correct the variable; README.md has a table of them.")
      ),
  })),
})

/** Whether a name looks like a slip of the pen. */
export const variableNames = (environment: Readonly<Record<string, string>>): Check => ({
  group: "environment",
  name: "variable-names",
  look: Effect.sync(() => {
    const found = misspelt(environment)
    return found.length === 0
      ? ok("No variable has a name that is nearly one of the service's.")
      : found.map((sentence) => warning(sentence, "Rename or unset it."))
  }),
})

/** SHA-256 of `latchkey-example-key`, which `docker-compose.yml` has. */
const publishedKey = "6d3200f8dafbdf8a6f4e86d46e11fbd154bd9e4c27360188875716ababd14210"

const quoted = (keys: ReadonlyArray<ApiKey>) =>
  [...new Set(keys.map(({ name }) => JSON.stringify(name)))].join(", ")

const ofKeys = (keys: ReadonlyArray<ApiKey>): ReadonlyArray<Seen> => {
  const almighty = keys.filter(({ scopes }) => scopes.includes("*"))
  const published = keys.filter(({ sha256 }) => sha256.toLowerCase() === publishedKey)
  const twins = keys.filter((key) => keys.some((other) => other !== key && other.name === key.name))
  const found = [
    ...published.length === 0 ? [] : [warning(
      `The key of ${quoted(published)} is the example that everybody can read in this repository.`,
      "Replace it: README.md says how to make a key.",
    )],
    ...almighty.length === 0 ? [] : [warning(
      `The key of ${quoted(almighty)} has the scope "*": it may do everything, also what later ` +
        "versions add.",
      "Give it the scopes that its client uses.",
    )],
    ...twins.length === 0 ? [] : [warning(
      `Several keys have the name ${quoted(twins)}.`,
      "Remove the old one when its replacement is in use.",
    )],
  ]
  const [first, ...others] = found
  return first === undefined
    ? [ok(`There are keys for ${quoted(keys)}, each with the scopes that it needs.`)]
    : [first, ...others]
}

/** Who may call the service. */
export const apiKeys = ({ apiKeys, database, host }: SettingsShape): Check => ({
  group: "environment",
  name: "api-keys",
  look: Option.match(apiKeys, {
    onSome: (keys) => Effect.succeed(ofKeys(keys)),
    onNone: () =>
      Effect.match(requireLoopback(host), {
        onFailure: ({ message }) =>
          error(message, "Set API_KEYS_FILE; README.md says how to make a key."),
        onSuccess: () =>
          Option.isNone(database)
            ? ok("The development key is used, which is good for everything on this machine.")
            : warning(
              "There are no keys: the development key is used, which is good for everything.",
              "Set API_KEYS_FILE, with a key for each client.",
            ),
      }),
  }),
})

/** Whether connections fit into the limit on open files. */
export const openFiles = (settings: SettingsShape): Check => ({
  group: "environment",
  name: "open-files",
  look: Effect.map(
    openFilesLimit,
    (limit) =>
      Option.match(fitConnections(settings, limit).warning, {
        onNone: () =>
          ok(
            Option.match(limit, {
              onNone: () => "The limit on open files is not known here.",
              onSome: (files) =>
                `${files} files may be open, which leaves room for ${settings.maxConnections} ` +
                "connections.",
            }),
          ),
        onSome: (sentence) =>
          warning(sentence, "Raise the limit for the service, as LimitNOFILE or ulimit does."),
      }),
  ),
})
