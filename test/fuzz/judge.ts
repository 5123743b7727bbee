/**
 * What a request deserves, by the document and what our README adds to it, and whether it got that.
 */
import { Option, Schema } from "effect"
import { arrayAt, isObject, type Json, type JsonObject, matches, objectAt } from "./JsonSchema.ts"
import type { DocumentedOperation, Parameter } from "./OpenApiDocument.ts"
import type { Request } from "./validRequests.ts"

export interface Received {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly text: string
}

const parse = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Json))

const decode = Option.liftThrowable(decodeURIComponent)

const isStorable = (text: string) => text.isWellFormed() && !text.includes("\0")

const isStorableJson = (value: Json): boolean =>
  typeof value === "string"
    ? isStorable(value)
    : Array.isArray(value)
    ? value.every(isStorableJson)
    : isObject(value)
    ? Object.values(value).every(isStorableJson)
    : true

/** What a text in a path or a query stands for, by its schema; none where it cannot. */
const valueOf = ({ type }: JsonObject, text: string): Option.Option<Json> => {
  switch (type) {
    case "integer":
      return /^\d{1,9}$/.test(text) ? Option.some(Number(text)) : Option.none()
    case "boolean":
      return text === "true" || text === "false" ? Option.some(text === "true") : Option.none()
    default:
      return Option.some(text)
  }
}

const isValidText = (document: JsonObject, schema: JsonObject, text: string) =>
  isStorable(text) &&
  Option.exists(valueOf(schema, text), (value) => matches(document, schema, value))

/** The reasons for which a request must be refused, as the statuses that say so. */
export const mustBeRefusedWith = (
  document: JsonObject,
  operation: DocumentedOperation,
  { path, query, headers, body }: Request,
): ReadonlyArray<number> => {
  const parameter = (name: string, place: Parameter["in"]) =>
    operation.parameters.find((parameter) => parameter.name === name && parameter.in === place)
  const isValidEncoded = (schema: JsonObject | undefined, encoded: string) =>
    schema !== undefined &&
    Option.exists(decode(encoded), (text) => isValidText(document, schema, text))

  const keys = headers.authorization === undefined ? [] : [401]
  const paths = Object.entries(path)
    .filter(([name, value]) => !isValidEncoded(parameter(name, "path")?.schema, value))
    .flatMap(() => [400, 404])
  const names = query.map(([name]) => name)
  const queries = query
    .filter(([name, value]) =>
      !isValidEncoded(parameter(name, "query")?.schema, value) ||
      names.indexOf(name) !== names.lastIndexOf(name)
    )
    .map(() => 400)
  const fields = operation.parameters
    .filter((parameter) => parameter.in === "header")
    .filter(({ name, schema }) => {
      const value = headers[name]
      return value !== undefined && !matches(document, schema, value)
    })
    .map(() => 400)
  return [
    ...keys,
    ...paths,
    ...queries,
    ...fields,
    ...bodyReasons(document, operation, headers, body),
  ]
}

const bodyReasons = (
  document: JsonObject,
  operation: DocumentedOperation,
  headers: Request["headers"],
  body = "",
) => {
  if (operation.body === undefined) return []
  const size = new TextEncoder().encode(body).byteLength
  const isJson = headers["content-type"] === "application/json"
  if (size > 256 * 1024) return isJson ? [413] : [413, 415]
  // No bytes at all are an empty object, whatever they are said to be.
  if (size > 0 && !isJson) return [415]
  const { body: schema } = operation
  // RFC 8259, 8.1: a byte order mark may be ignored.
  const isValid = Option.exists(
    parse(body === "" ? "{}" : body.replace(/^\ufeff/, "")),
    (value) => matches(document, schema, value) && isStorableJson(value),
  )
  return isValid ? [] : [400]
}

const sentObject = ({ body }: Request): JsonObject => objectAt(Option.getOrUndefined(parse(body)))

const isGiven = (value: Json | undefined) => value !== undefined && value !== null

/** Whether a token to be stored, or its session, would have ended already. */
const isExpired = ({ expiresAt, sessionExpiresAt }: JsonObject) =>
  [expiresAt, sessionExpiresAt].some((time) => Date.parse(String(time)) <= Date.now())

const isRefusedToken = (token: JsonObject) =>
  isExpired(token) || (isGiven(token.onLimit) && !isGiven(token.maxSessions))

/**
 * What no schema of the document says: a count or a list of nothing, a rotation onto itself, a past time,
 * what to do on no limit, a session of an inactive user that goes on or of a failed attempt, a look-up
 * by several properties.
 */
const isRefusedByMeaning = (request: Request) => {
  const { id, path, query } = request
  const sent = sentObject(request)
  switch (id) {
    case "loginAttempts.countByOrigin":
    case "loginAttempts.list":
      return !query.some(([name]) => name === "email" || name === "ipAddress")
    case "loginAttempts.complete":
      return isGiven(sent.refreshToken) &&
        (sent.success !== true || isRefusedToken(objectAt(sent.refreshToken)))
    case "refreshTokens.create":
      return isRefusedToken(sent)
    case "refreshTokens.rotate":
      return isExpired(sent) || sent.tokenHash === decodeURIComponent(path.tokenHash ?? "")
    case "users.lookup":
      return Object.values(sent).filter(isGiven).length !== 1
    case "users.update":
      return sent.isActive === false && isGiven(objectAt(sent.revokeSessions).exceptSessionId)
    default:
      return false
  }
}

const problem = "https://latchkey.dev/problems/"

/** What is wrong with an answer, by the document. */
export const complaints = (
  document: JsonObject,
  operation: DocumentedOperation,
  request: Request,
  received: Received,
): ReadonlyArray<string> => {
  const { status, headers, text } = received
  const documented = operation.responses.get(status)
  if (documented === undefined) return [`the status ${status} is not documented`]
  const found: Array<string> = []
  if (status >= 500) found.push(`the status is ${status}`)

  const refusals = mustBeRefusedWith(document, operation, request)
  if (refusals.length > 0 && !refusals.includes(status)) {
    found.push(`the request should have been refused with ${refusals.join(" or ")}, not ${status}`)
  }
  if (status === 400 && !request.isTouched && !isRefusedByMeaning(request)) {
    found.push("the request should not have been refused")
  }
  if (status === 201 && operation.id === "refreshTokens.create" && isExpired(sentObject(request))) {
    found.push("a token was created that had expired")
  }
  const missing = documented.requiredHeaders.filter((name) => headers[name] === undefined)
  if (missing.length > 0) found.push(`the headers ${missing.join()} are missing`)

  const type = headers["content-type"]
  if (documented.content.size === 0) {
    if (text !== "" || type !== undefined) found.push("there should be no body")
    return found
  }
  const schema = type === undefined ? undefined : documented.content.get(type)
  if (schema === undefined) return [...found, `the content type ${type} is not documented`]
  const value = type?.startsWith("text/") ? Option.some(text) : parse(text)
  if (!Option.exists(value, (value) => matches(document, schema, value))) {
    found.push(`the body is not what is documented: ${text.slice(0, 500)}`)
  }
  if (status >= 400) {
    const body = Option.getOrUndefined(value)
    if (!isObject(body) || body.status !== status || !String(body.type).startsWith(problem)) {
      found.push("the problem does not fit the status")
    }
    if (status === 400 && isObject(body) && arrayAt(body.errors).length === 0) {
      found.push("the problem names no place")
    }
  }
  return found
}
