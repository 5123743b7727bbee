/**
 * What the headers of any request must be like, whatever it is for.
 */
import type { IncomingMessage } from "node:http"
import { HeadersTooLarge, InvalidRequest } from "../api/problems.ts"
import { type Answer, problemResponse } from "./problems/problemResponse.ts"

/** Lines at most. Node would keep the first thousand and drop the others without a word. */
const maximumLines = 1_000

const invalid = (path: string, message: string) =>
  problemResponse(new InvalidRequest({ errors: [{ path, message }] }))

const tooMany = problemResponse(new HeadersTooLarge({}))
const noHost = invalid("host", "Expected a Host header")
const badHost = invalid("host", "Expected a host with or without a port")

/** Headers that decide something, and of which there must not be two to choose from. */
const single = ["host", "authorization", "content-type", "idempotency-key"].map((name, index) => ({
  name,
  bit: 1 << index,
  answer: invalid(name, "Expected this header only once"),
}))

/** By the spellings that clients mostly use, so that no other has to be made of them. */
const byName = new Map(single.flatMap((header) => [
  [header.name, header],
  [header.name.replaceAll(/\b[a-z]/g, (letter) => letter.toUpperCase()), header],
]))

/** Of a header with another length the name need not be looked at. */
const lengths = new Set(single.map(({ name }) => name.length))

/** The answer to a request that has one of these headers twice. */
const refuseRepeated = (rawHeaders: ReadonlyArray<string>): Answer | undefined => {
  let seen = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]
    if (name === undefined || !lengths.has(name.length)) continue
    const header = byName.get(name) ?? byName.get(name.toLowerCase())
    if (header === undefined) continue
    if ((seen & header.bit) !== 0) return header.answer
    seen |= header.bit
  }
  return undefined
}

/** RFC 9110, 7.2: a name, an IPv4 address or an IPv6 address in brackets, and a port. */
export const isHost = (host: string) =>
  /^(?:[\w.~%!$&'()*+;=-]*|\[[\da-f:.]+\])(?::\d*)?$/i.test(host)

/** The answer to a request whose headers are not what they must be. */
export const refuseHeaders = (request: IncomingMessage): Answer | undefined => {
  const { rawHeaders, headers: { host } } = request
  if (rawHeaders.length > 2 * maximumLines) return tooMany
  const repeated = refuseRepeated(rawHeaders)
  if (repeated !== undefined) return repeated
  if (host !== undefined) return isHost(host) ? undefined : badHost
  // RFC 9112, 3.2; HTTP/1.0, which health checks of load balancers still speak, has no such rule.
  return request.httpVersion === "1.0" ? undefined : noHost
}
