/**
 * What every answer has, whoever makes it.
 */
import { randomUUID } from "node:crypto"
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http"
import { entityTagsIn } from "./entityTagList.ts"

/** What a client may call its request: visible ASCII characters, so that logs can have it as it is. */
const requestId = /^[\x21-\x7e]{1,128}$/

/** The client's name for the request, if it is one, or a new one. */
const requestIdOf = ({ headers }: IncomingMessage): string => {
  const given = headers["x-request-id"]
  return typeof given === "string" && requestId.test(given) ? given : randomUUID()
}

/**
 * Names the request, and keeps its answer out of caches (RFC 9111, 5.2.2.5), however its target is written;
 * what may be cached says so itself.
 */
export const setAnswerHeaders = (request: IncomingMessage, response: ServerResponse): void => {
  response.setHeader("x-request-id", requestIdOf(request))
  response.setHeader("cache-control", "no-store")
}

type Headers = Readonly<Record<string, string | undefined>>

/** Of the headers of an answer, those that one without its body has as well (RFC 9110, 15.4.5). */
export const validatorsOf = (headers: Headers): Readonly<Record<string, string>> =>
  Object.fromEntries(
    ["etag", "vary", "cache-control"].flatMap((name) => {
      const value = headers[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )

/**
 * Whether the client has what the answer to a read would be (RFC 9110, 13.1.2): any of the tags that it
 * names, by weak comparison. A list that is none is ignored.
 */
export const isNotModified = (
  method: string | undefined,
  headers: Readonly<IncomingHttpHeaders>,
  answer: { readonly status: number; readonly headers: Headers },
): boolean => {
  const given = headers["if-none-match"]
  const entityTag = answer.headers["etag"]
  if (entityTag === undefined || given === undefined || answer.status !== 200) return false
  if (method !== "GET" && method !== "HEAD") return false
  return given.trim() === "*" ||
    (entityTagsIn(given)?.some(({ tag }) => `"${tag}"` === entityTag) ?? false)
}
