/**
 * JSON Schema, as far as our OpenAPI document uses it. A keyword that is not known here is a failure,
 * so that nothing of the document goes unchecked.
 */
import { Predicate, type Schema } from "effect"

export type Json = Schema.Json
export type JsonObject = Schema.JsonObject

export const isObject = (value: Json | undefined): value is JsonObject => Predicate.isObject(value)

export const objectAt = (value: Json | undefined): JsonObject => isObject(value) ? value : {}

export const arrayAt = (value: Json | undefined): ReadonlyArray<Json> =>
  Array.isArray(value) ? value : []

/** What the document calls by reference. */
export const resolve = (document: JsonObject, schema: JsonObject): JsonObject => {
  const { $ref } = schema
  if (typeof $ref !== "string") return schema
  const target = $ref.replace(/^#\//, "").split("/").reduce<Json | undefined>(
    (value, name) => objectAt(value)[name],
    document,
  )
  if (!isObject(target)) throw new Error(`The document has no ${$ref}`)
  return resolve(document, target)
}

const types: Readonly<Record<string, (value: Json) => boolean>> = {
  array: (value) => Array.isArray(value),
  boolean: (value) => typeof value === "boolean",
  integer: (value) => Number.isInteger(value),
  null: (value) => value === null,
  number: (value) => typeof value === "number",
  object: isObject,
  string: (value) => typeof value === "string",
}

const formats: Readonly<Record<string, RegExp>> = {
  "date-time": /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/,
  "uuid": /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i,
}

/** Keywords that say something to readers only. */
const annotations = new Set(["title", "description", "default", "examples"])

type Check = (value: Json, argument: Json, schema: JsonObject, document: JsonObject) => boolean

const ofStrings = (check: (value: string, argument: Json) => boolean): Check => (value, argument) =>
  typeof value !== "string" || check(value, argument)

const ofNumbers =
  (check: (value: number, argument: number) => boolean): Check => (value, argument) =>
    typeof value !== "number" || check(value, Number(argument))

const keywords: Readonly<Record<string, Check>> = {
  type: (value, type) => types[String(type)]?.(value) ?? false,
  enum: (value, options) => arrayAt(options).includes(value),
  const: (value, expected) => value === expected,
  allOf: (value, schemas, _, document) =>
    arrayAt(schemas).every((schema) => matches(document, objectAt(schema), value)),
  anyOf: (value, schemas, _, document) =>
    arrayAt(schemas).some((schema) => matches(document, objectAt(schema), value)),
  properties: (value, properties, _, document) =>
    !isObject(value) ||
    Object.entries(objectAt(properties)).every(([name, schema]) => {
      const property = Object.hasOwn(value, name) ? value[name] : undefined
      return property === undefined || matches(document, objectAt(schema), property)
    }),
  required: (value, names) =>
    !isObject(value) || arrayAt(names).every((name) => Object.hasOwn(value, String(name))),
  additionalProperties: (value, allowed, { properties }) =>
    !isObject(value) || allowed !== false ||
    Object.keys(value).every((name) => Object.hasOwn(objectAt(properties), name)),
  items: (value, schema, _, document) =>
    !Array.isArray(value) || value.every((item) => matches(document, objectAt(schema), item)),
  minItems: (value, length) => !Array.isArray(value) || value.length >= Number(length),
  maxItems: (value, length) => !Array.isArray(value) || value.length <= Number(length),
  minLength: ofStrings((value, length) => [...value].length >= Number(length)),
  maxLength: ofStrings((value, length) => [...value].length <= Number(length)),
  pattern: ofStrings((value, pattern) => new RegExp(String(pattern), "u").test(value)),
  format: ofStrings((value, format) => formats[String(format)]?.test(value) ?? false),
  minimum: ofNumbers((value, minimum) => value >= minimum),
  maximum: ofNumbers((value, maximum) => value <= maximum),
}

/** Whether a value is as a schema of the document says. */
export const matches = (document: JsonObject, schema: JsonObject, value: Json): boolean => {
  const resolved = resolve(document, schema)
  return Object.entries(resolved).every(([keyword, argument]) => {
    if (annotations.has(keyword)) return true
    const check = keywords[keyword]
    if (check === undefined) throw new Error(`The keyword ${keyword} is not checked`)
    return check(value, argument, resolved, document)
  })
}
