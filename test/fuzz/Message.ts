/**
 * Requests as bytes: what they are made of, and how they are written.
 */
import { keyWith } from "../support/TestService.ts"
import type { DocumentedOperation } from "./OpenApiDocument.ts"
import type { Request } from "./validRequests.ts"

export interface Message {
  readonly version: "1.0" | "1.1"
  readonly method: string
  readonly target: string
  /** Lines, in their order. */
  readonly headers: ReadonlyArray<string>
  readonly body: Uint8Array | undefined
  /** How the end of the body is told. */
  readonly framing: "length" | "chunks"
}

export const authorization = `Authorization: Bearer ${keyWith("*")}`

/** The request with a key for everything, as any client would send it. */
export const toMessage = (
  { method, path: template }: DocumentedOperation,
  { path, query, headers, body }: Request,
): Message => {
  const target = template.replaceAll(/\{(\w+)\}/g, (_, name) => path[name] ?? "")
  const search = query.map(([name, value]) => `${name}=${value}`).join("&")
  return {
    version: "1.1",
    method,
    target: search === "" ? target : `${target}?${search}`,
    headers: [
      "Host: localhost",
      ...(headers["authorization"] === undefined ? [authorization] : []),
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ],
    body: body === undefined ? undefined : Buffer.from(body),
    framing: "length",
  }
}

const chunked = (body: Uint8Array) => {
  const half = body.length >> 1
  return Buffer.concat([
    ...[body.subarray(0, half), body.subarray(half)].filter(({ length }) => length > 0).flatMap(
      (chunk) => [
        Buffer.from(`${chunk.length.toString(16)}\r\n`),
        chunk,
        Buffer.from("\r\n"),
      ],
    ),
    Buffer.from("0\r\n\r\n"),
  ])
}

/** The bytes of the message, after whose answer the connection is to be closed. */
export const toBytes = (
  { version, method, target, headers, body, framing }: Message,
): Uint8Array => {
  const ofBody = body === undefined
    ? []
    : framing === "chunks"
    ? ["Transfer-Encoding: chunked"]
    : [`Content-Length: ${body.length}`]
  const lines = [`${method} ${target} HTTP/${version}`, "Connection: close", ...headers, ...ofBody]
  return Buffer.concat([
    Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"),
    ...(body === undefined ? [] : [framing === "chunks" ? chunked(body) : body]),
  ])
}
