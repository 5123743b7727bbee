/**
 * What our OpenAPI document says about each operation.
 */
import { arrayAt, type Json, type JsonObject, objectAt, resolve } from "./JsonSchema.ts"

export interface Parameter {
  readonly name: string
  readonly in: "path" | "query" | "header"
  readonly isRequired: boolean
  readonly schema: JsonObject
}

export interface Response {
  /** By media type, as it is documented; empty when there is no body. */
  readonly content: ReadonlyMap<string, JsonObject>
  readonly requiredHeaders: ReadonlyArray<string>
}

export interface DocumentedOperation {
  readonly id: string
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  readonly path: string
  readonly needsKey: boolean
  readonly parameters: ReadonlyArray<Parameter>
  readonly body: JsonObject | undefined
  readonly needsBody: boolean
  readonly responses: ReadonlyMap<number, Response>
}

const methods = {
  get: "GET",
  post: "POST",
  put: "PUT",
  patch: "PATCH",
  delete: "DELETE",
} as const

const places = ["path", "query", "header"] as const

const schemasOf = (content: JsonObject) =>
  new Map(
    Object.entries(content).map(([type, media]) => [type, objectAt(objectAt(media).schema)]),
  )

const toParameter = (document: JsonObject) => (given: Json): Parameter => {
  const { name, in: place, required, schema } = objectAt(given)
  const found = places.find((known) => known === place)
  if (found === undefined) throw new Error(`The document has a parameter in ${place}`)
  return {
    name: String(name),
    in: found,
    isRequired: required === true,
    schema: resolve(document, objectAt(schema)),
  }
}

const toResponse = (document: JsonObject, given: Json): Response => {
  const { content, headers } = resolve(document, objectAt(given))
  return {
    content: schemasOf(objectAt(content)),
    requiredHeaders: Object.entries(objectAt(headers))
      .filter(([, header]) => objectAt(header).required === true)
      .map(([name]) => name),
  }
}

const bodyOf = (document: JsonObject, operation: JsonObject) => {
  const schema = schemasOf(objectAt(objectAt(operation.requestBody).content)).get(
    "application/json",
  )
  return schema === undefined ? undefined : resolve(document, schema)
}

/** Every operation of the document. */
export const operationsOf = (document: JsonObject): ReadonlyArray<DocumentedOperation> =>
  Object.entries(objectAt(document.paths)).flatMap(([path, item]) =>
    Object.entries(methods).flatMap(([key, method]) => {
      const operation = objectAt(objectAt(item)[key])
      if (operation.operationId === undefined) return []
      return [{
        id: String(operation.operationId),
        method,
        path,
        needsKey: arrayAt(operation.security).length > 0,
        parameters: arrayAt(operation.parameters).map(toParameter(document)),
        body: bodyOf(document, operation),
        needsBody: objectAt(operation.requestBody).required === true,
        responses: new Map(
          Object.entries(objectAt(operation.responses))
            .filter(([status]) => status !== "default")
            .map(([status, response]) => [Number(status), toResponse(document, response)]),
        ),
      }]
    })
  )
