/**
 * What is wrong with a list of API keys, for the person who wrote it: which entry, and what about it.
 *
 * The schema decides; this only puts its refusal into words, and never a value, which may be a secret
 * in the wrong place. Quoted is only what is evidently a mistyped scope or the name of a property.
 */
import { Predicate, Result, Schema } from "effect"
import { ApiKey, Scope } from "../domain/ApiKey.ts"

const properties = Object.keys(ApiKey.fields)

const isName = Schema.is(ApiKey.fields.name)
const isSha256 = Schema.is(ApiKey.fields.sha256)
const isScope = Schema.is(Scope)

/** Letters around one of the words that scopes are made of. */
const likeAScope =
  /^(?=.{1,40}$)[a-z*:._-]*(?:user|credential|token|attempt|maint|admin|read|write)[a-z*:._-]*$/i

const likeAProperty = /^[a-z_]{1,16}$/i

const scopeProblem = (scope: unknown, index: number): string => {
  const shown = Predicate.isString(scope) && likeAScope.test(scope) ? `"${scope}"` : index + 1
  return `scope ${shown} is not one of ${Scope.literals.join(", ")}`
}

const propertyProblem = (name: string) =>
  `${likeAProperty.test(name) ? `"${name}"` : "one of its properties"} is not one of ` +
  properties.join(", ")

const entryProblem = (entry: unknown): string | undefined => {
  if (!Predicate.isObject(entry) || Array.isArray(entry)) return "it is not an object"
  const unknown = Object.keys(entry).find((name) => !properties.includes(name))
  if (unknown !== undefined) return propertyProblem(unknown)
  const missing = properties.find((name) => !Predicate.hasProperty(entry, name))
  if (missing !== undefined) return `${missing} is missing`
  const { name, sha256, scopes }: Record<string, unknown> = { ...entry }
  if (!isName(name)) return "name is not a text of 1 to 100 characters"
  if (!isSha256(sha256)) return "sha256 is not 64 hexadecimal digits"
  if (!Array.isArray(scopes)) return "scopes is not a list"
  const wrong = scopes.findIndex((scope) => !isScope(scope))
  return wrong === -1 ? undefined : scopeProblem(scopes[wrong], wrong)
}

const pairOf = (entry: unknown) => {
  const { name, sha256 }: Record<string, unknown> = { ...(Predicate.isObject(entry) ? entry : {}) }
  return JSON.stringify([name, String(sha256).toLowerCase()])
}

/** Two entries of one name and sha256, if there are such, counted from 1. */
const repetition = (entries: ReadonlyArray<unknown>): string | undefined => {
  const pairs = entries.map(pairOf)
  const second = pairs.findIndex((pair, index) => pairs.indexOf(pair) < index)
  if (second === -1) return undefined
  const first = pairs.indexOf(pairs[second] ?? "")
  return `entries ${first + 1} and ${second + 1} have the same name and sha256`
}

const parse = (text: string) =>
  Result.try({ try: (): unknown => JSON.parse(text), catch: () => "it is not valid JSON" })

/** The first thing that is wrong; undefined where nothing is that is known here. */
export const apiKeysProblem = (text: string): string | undefined => {
  const parsed = parse(text)
  if (Result.isFailure(parsed)) return parsed.failure
  const entries = parsed.success
  if (!Array.isArray(entries)) return "it is not a list"
  if (entries.length === 0) return "the list is empty"
  for (const [index, entry] of entries.entries()) {
    const problem = entryProblem(entry)
    if (problem !== undefined) return `entry ${index + 1}: ${problem}`
  }
  return repetition(entries)
}
