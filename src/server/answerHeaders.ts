/**
 * What every answer has, whoever makes it.
 */
import type { IncomingHttpHeaders, ServerResponse } from "node:http"
import { entityTagsIn } from "./entityTagList.ts"
import type { RequestRecord } from "./requestRecord.ts"

/**
 * Names the request, and keeps its answer out of caches (RFC 9111, 5.2.2.5), however its target is written;
 * what may be cached says so itself.
 */
export const setAnswerHeaders = ({ id }: RequestRecord, response: ServerResponse): void => {
  response.setHeader("x-request-id", id)
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
