/**
 * JSON values, as the OpenAPI document is made of them.
 */
import { Predicate, Schema } from "effect"

export type Json = Schema.Json
export type JsonObject = Schema.JsonObject

export const toJsonObject = Schema.decodeUnknownSync(Schema.Record(Schema.String, Schema.Json))

const isObject = (value: Json | undefined): value is JsonObject => Predicate.isObject(value)

/** An object, or an empty one where something else is. */
export const objectAt = (value: Json | undefined): JsonObject => isObject(value) ? value : {}

/** An array, or an empty one where something else is. */
export const arrayAt = (value: Json | undefined): ReadonlyArray<Json> =>
  Array.isArray(value) ? value : []

export const mapValues = (object: JsonObject, f: (value: Json, key: string) => Json): JsonObject =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, f(value, key)]))

export const mapKeys = (object: JsonObject, f: (key: string) => string): JsonObject =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [f(key), value]))

/** Changes every object in a value, from the inside out. */
export const mapObjects = (value: Json, f: (object: JsonObject) => JsonObject): Json =>
  Array.isArray(value)
    ? value.map((item) => mapObjects(item, f))
    : isObject(value)
    ? f(mapValues(value, (item) => mapObjects(item, f)))
    : value
