/**
 * What is set for OpenTelemetry and means nothing here: a mistyped name, or a variable of an SDK for
 * another language that shares the environment.
 */
import { Result } from "effect"
import { namesOf } from "../ConfigVariable.ts"
import { refused, variables } from "./variables.ts"

const known = new Set([
  "OTEL_EXPORTER_OTLP_ENDPOINT",
  ...variables.flatMap(namesOf),
  ...Object.keys(refused),
])

/** Deno exports on its own where these ask it to. */
const ofDeno = /^OTEL_DENO(?:_|$)/

/** A sentence about the unknown ones of these names; none where there are none. */
export const describeUnknown = (names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const unknown = names.filter((name) =>
    name.startsWith("OTEL_") && !known.has(name) && !ofDeno.test(name)
  ).sort()
  return unknown.length === 0
    ? []
    : [`These variables have no effect, since latchkey does not know them: ${unknown.join(", ")}.`]
}

/** The names that this process may see; a sandbox lets it see only those that it knows. */
export const environmentNames = (): ReadonlyArray<string> =>
  Result.getOrElse(Result.try(() => Object.keys(Deno.env.toObject())), () => [])
