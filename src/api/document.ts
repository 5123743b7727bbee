/**
 * Completes the OpenAPI document that Effect makes of the API: parameters with the types that they
 * are decoded to, scopes, problems in full, and what each word means.
 *
 * Everything comes from the values that serve, or from the glossary. Responses are left open, so that
 * properties can be added to them; requests are closed, as they are to the service.
 */
import { Context, Option, Predicate, Schema } from "effect"
import { HttpApi, type HttpApiGroup, OpenApi } from "effect/http-api"
import type { Scope } from "../domain/ApiKey.ts"
import { RequiredScope } from "./Authorization.ts"
import {
  completeComponents,
  componentsIn,
  describe,
  refTo,
  toComponentName,
  withComponentNames,
  withoutAllOf,
} from "./components.ts"
import {
  arrayAt,
  type Json,
  type JsonObject,
  mapKeys,
  mapObjects,
  mapValues,
  objectAt,
  toJsonObject,
} from "./json.ts"

/** What Effect leaves out of an endpoint. */
interface Facts {
  readonly scope: Option.Option<Scope>
  /** Schemas of the query parameters that are not decoded to text. */
  readonly query: JsonObject
}

const defaultIn = (defaults: unknown, name: string): JsonObject =>
  Predicate.hasProperty(defaults, name) && Predicate.isNumber(defaults[name])
    ? { default: defaults[name] }
    : {}

/** Schemas of numbers and booleans, which Effect describes as the text that they are in a URL. */
const typedQuery = (query: Schema.Top | undefined): JsonObject => {
  if (query === undefined) return {}
  // No schema of the API needs services, which `Schema.Top` does not say.
  const decode = Schema.decodeUnknownOption(query as Schema.Codec<unknown>)
  const defaults = Option.getOrUndefined(decode({}))
  const { properties } = toJsonObject(Schema.toJsonSchemaDocument(Schema.toType(query)).schema)
  return Object.fromEntries(
    Object.entries(objectAt(properties))
      .filter(([, property]) => objectAt(property).type !== "string")
      .map(([name, property]) => [name, { ...objectAt(property), ...defaultIn(defaults, name) }]),
  )
}

const factsOf = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
): ReadonlyMap<string, Facts> => {
  const facts = new Map<string, Facts>()
  HttpApi.reflect(api, {
    onGroup: () => {},
    onEndpoint: ({ group, endpoint }) => {
      facts.set(`${group.identifier}.${endpoint.identifier}`, {
        scope: Context.getOption(endpoint.annotations, RequiredScope),
        query: typedQuery(endpoint.query),
      })
    },
  })
  return facts
}

/** Headers of problems by status, as the server adds them. */
const problemHeaders: Readonly<Record<string, JsonObject>> = {
  "401": { "www-authenticate": { required: true, schema: { type: "string" } } },
  "429": { "retry-after": { required: true, schema: { type: "integer", minimum: 1 } } },
  "503": { "retry-after": { required: true, schema: { type: "integer", minimum: 0 } } },
}

/** Headers of every response. */
const answerHeaders: JsonObject = {
  "x-request-id": { required: true, schema: { type: "string" } },
}

/** For operations whose response has an entity tag: what a client that has it may ask. */
const ifNoneMatch: Json = { in: "header", name: "if-none-match", schema: { type: "string" } }
const notModified: JsonObject = {
  description: "The client has the user as it is; without a body",
  headers: { etag: { required: true, schema: { type: "string" } } },
}

const completeHeaders = (headers: JsonObject): JsonObject =>
  mapValues(headers, (header, name) => {
    const { description = "", ...meaning } = describe("header", name)
    const { schema, ...others } = objectAt(header)
    return { ...others, description, schema: { ...objectAt(schema), ...meaning } }
  })

const completeResponse = (response: JsonObject, status: string): JsonObject => {
  const headers = {
    ...objectAt(response.headers),
    ...problemHeaders[status],
    ...answerHeaders,
  }
  return { ...response, headers: completeHeaders(headers) }
}

/** `EmailTaken`, or `EmailTakenOrGoogleIdTaken`: of the problems in a response. */
const toResponseName = (response: JsonObject): string =>
  Array.from(componentsIn(response, {}), (name) => name.replace(/Problem$/, "")).join("Or")

/** The name of the response to requests that reach no operation. */
const noOperation = "NoOperation"

const toNoOperation = (): JsonObject => ({
  description: "Requests that reach no operation: 404 `not-found` for a path that is not in this " +
    "document, 405 `method-not-allowed` for another method of one that is",
  headers: completeHeaders({ allow: { schema: { type: "string" } } }),
  content: {
    "application/problem+json": {
      schema: { anyOf: [refTo("NotFoundProblem"), refTo("MethodNotAllowedProblem")] },
    },
  },
})

const completeParameter = (typed: JsonObject) => (given: Json): Json => {
  const { schema, ...parameter } = objectAt(given)
  const [place, name] = [String(parameter.in), String(parameter.name)]
  const { description = "", ...meaning } = describe(place, name)
  const known = place === "query" ? typed[name] : undefined
  return { ...parameter, description, schema: { ...objectAt(known ?? schema), ...meaning } }
}

/** Whether an operation only reads what has an entity tag. */
const isConditional = ({ requestBody, responses }: JsonObject): boolean =>
  requestBody === undefined &&
  "etag" in objectAt(objectAt(objectAt(responses)["200"]).headers)

/** An operation, whose problems are collected in `responses` and referred to. */
const completeOperation = (
  operation: JsonObject,
  { scope, query }: Facts,
  responses: Map<string, Json>,
): JsonObject => ({
  ...operation,
  description: Option.match(scope, {
    onNone: () => String(operation.description),
    onSome: (scope) => `${operation.description}\n\nNeeds a key with the scope \`${scope}\`.`,
  }),
  // Not within `security`, where linters know the scopes of OAuth only.
  ...(Option.isSome(scope) ? { "x-required-scope": scope.value } : {}),
  parameters: [...arrayAt(operation.parameters), ...isConditional(operation) ? [ifNoneMatch] : []]
    .map(completeParameter(query)),
  responses: {
    ...mapValues({
      ...objectAt(operation.responses),
      ...isConditional(operation) ? { "304": notModified } : {},
    }, (given, status) => {
      const response = completeResponse(objectAt(given), status)
      if (Number(status) < 400) return response
      const name = toResponseName(response)
      responses.set(name, response)
      return { $ref: `#/components/responses/${name}` }
    }),
    default: { $ref: `#/components/responses/${noOperation}` },
  },
})

/** Linters want one, and a document that every service serves cannot name a person. */
const contact = { name: "The operator of this service" }

const complete = (given: unknown, facts: ReadonlyMap<string, Facts>): JsonObject => {
  const named = mapObjects(mapObjects(toJsonObject(given), withoutAllOf), withComponentNames)
  const { components, info, ...document } = objectAt(named)
  const paths = objectAt(document.paths)
  const schemas = mapKeys(objectAt(objectAt(components).schemas), toComponentName)
  const bodies = Object.values(paths).flatMap((item) =>
    Object.values(objectAt(item)).map((operation) => objectAt(operation).requestBody ?? {})
  )
  const responses = new Map<string, Json>([[noOperation, toNoOperation()]])
  const completed = mapValues(paths, (item) =>
    mapValues(objectAt(item), (operation) => {
      const found = facts.get(String(objectAt(operation).operationId))
      if (found === undefined) throw new Error("An operation has an id that is no endpoint's")
      return completeOperation(objectAt(operation), found, responses)
    }))
  return {
    ...document,
    info: { ...objectAt(info), contact },
    paths: completed,
    components: {
      ...objectAt(components),
      schemas: completeComponents(schemas, componentsIn(bodies, schemas)),
      responses: Object.fromEntries(responses),
    },
  }
}

/** The same API, whose OpenAPI document is complete. */
export const documented = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
): HttpApi.HttpApi<Id, Groups> =>
  api.annotate(OpenApi.Transform, (document) => complete(document, factsOf(api)))
