/**
 * The schemas of the OpenAPI document, completed.
 */
import { glossary } from "./glossary.ts"
import { arrayAt, type Json, type JsonObject, mapObjects, mapValues, objectAt } from "./json.ts"
import { problemBase } from "./problems.ts"

/**
 * Merges `allOf` into the schema itself: generators of clients take a schema that says some of it in
 * `allOf` for one of any value.
 */
export const withoutAllOf = ({ allOf, ...schema }: JsonObject): JsonObject =>
  arrayAt(allOf).map(objectAt).reduce((merged, part) => {
    const repeated = Object.keys(part).filter((key) => key in merged || key === "$ref")
    if (repeated.length > 0) throw new Error(`allOf cannot be merged: ${repeated.join()}`)
    return { ...merged, ...part }
  }, schema)

/** `EmailTakenEncoded`, as Effect calls the JSON of a class, becomes `EmailTakenProblem`. */
export const toComponentName = (name: string) => name.replace(/Encoded$/, "Problem")

/** Without the titles that Effect makes of the names of classes, such as `User.insert`. */
export const withComponentNames = ({ $ref, title, ...object }: JsonObject): JsonObject => ({
  ...object,
  ...(typeof $ref === "string" ? { $ref: toComponentName($ref) } : {}),
  ...(title === undefined || /^\w+\.\w+$/.test(String(title)) ? {} : { title }),
})

const path = "#/components/schemas/"

export const refTo = (name: string): JsonObject => ({ $ref: `${path}${name}` })

const nameIn = ({ $ref }: JsonObject) =>
  typeof $ref === "string" && $ref.startsWith(path) ? $ref.slice(path.length) : undefined

/** The names of the components in a value, and of those that they are made of. */
export const componentsIn = (value: Json, components: JsonObject): ReadonlySet<string> => {
  const names = new Set<string>()
  const visit = (value: Json): Json =>
    mapObjects(value, (object) => {
      const name = nameIn(object)
      if (name !== undefined && !names.has(name)) {
        names.add(name)
        visit(components[name] ?? {})
      }
      return object
    })
  visit(value)
  return names
}

/** What a word means in a schema or a place, such as `User` or `query`. */
export const describe = (place: string, word: string): JsonObject => ({
  ...(glossary[`${place}.${word}`] ?? glossary[word]),
})

const isProblem = (schema: JsonObject) =>
  arrayAt(objectAt(objectAt(schema.properties).type).enum)
    .some((type) => String(type).startsWith(problemBase))

/**
 * A problem as it is sent. Effect describes what its own clients can do without: they take a problem
 * without title and status for the one that its `type` names.
 */
const completeProblem = (schema: JsonObject): JsonObject => {
  const { type = {}, title, status, detail = {}, ...others } = objectAt(schema.properties)
  const titles = arrayAt(objectAt(title).enum)
  const required = arrayAt(schema.required)
  // `instance` is never sent.
  const { instance: _, ...extensions } = others
  return {
    ...schema,
    description: String(titles[0]),
    properties: {
      type,
      title: { type: "string", examples: titles },
      status: { ...objectAt(status), type: "integer" },
      detail,
      ...extensions,
    },
    required: [
      "type",
      "title",
      "status",
      ...Object.keys(extensions).filter((name) => required.includes(name)),
    ],
  }
}

const describeProperties = (name: string, schema: JsonObject): JsonObject =>
  schema.properties === undefined ? schema : {
    ...schema,
    properties: mapValues(
      objectAt(schema.properties),
      (property, word) => ({ ...objectAt(property), ...describe(name, word) }),
    ),
  }

const open = ({ additionalProperties: _, ...schema }: JsonObject): JsonObject => schema

/** Describes all components, and opens all but those that are closed: the parts of requests. */
export const completeComponents = (
  components: JsonObject,
  closed: ReadonlySet<string>,
): JsonObject =>
  Object.fromEntries(
    Object.entries(components)
      // Without those that only name another one.
      .filter(([, schema]) => nameIn(objectAt(schema)) === undefined)
      .map(([name, given]) => {
        const schema = objectAt(given)
        const described = describeProperties(
          name,
          isProblem(schema) ? completeProblem(schema) : schema,
        )
        return [name, closed.has(name) ? described : open(described)]
      }),
  )
