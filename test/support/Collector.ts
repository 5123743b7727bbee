/**
 * An OpenTelemetry collector, as well or as badly as it behaves.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { Effect } from "effect"
import { readExport, type Sent } from "./Otlp.ts"

export type Behaviour =
  /** Takes everything. */
  | { readonly _tag: "Accept" }
  /** Takes everything, each export after a time. */
  | { readonly _tag: "Delay"; readonly millis: number }
  /** Answers with this status. */
  | { readonly _tag: "Refuse"; readonly status: number }
  /** Accepts connections and reads, but never answers. */
  | { readonly _tag: "Hang" }
  /** Says that it has taken an export, and never ends its answer. */
  | { readonly _tag: "HangInBody" }
  /** Sends whatever comes somewhere else. */
  | { readonly _tag: "Redirect"; readonly to: string }
  /** Takes everything, but says in its answer that it has not; in the encoding of the export. */
  | { readonly _tag: "Reject"; readonly items: number }

export interface Collector {
  readonly url: string
  readonly behave: (behaviour: Behaviour) => void
  /** The paths of the requests that it has taken, one entry each. */
  readonly paths: ReadonlyArray<string>
  /** The headers of these requests. */
  readonly headers: ReadonlyArray<IncomingMessage["headers"]>
  /** The names of the spans that it has taken. */
  readonly spans: ReadonlyArray<string>
  /** What it has taken of each kind, as it was told. */
  readonly received: { readonly [Kind in keyof Received]: Received[Kind] }
  /** The most requests that there have been at once for one path. */
  readonly mostAtOnce: () => number
}

type Received = ReturnType<typeof readExport>

interface Request {
  readonly path: string
  readonly headers: IncomingMessage["headers"]
  readonly response: ServerResponse
  readonly sent: Sent
}

/** An answer that fewer than 128 items were rejected, with a sentence why. */
const partialSuccess = ({ contentType }: Sent, items: number) => {
  if (contentType === "application/json") {
    return JSON.stringify({ partialSuccess: { rejectedSpans: String(items), errorMessage: "no" } })
  }
  const content = [0x08, items, 0x12, 2, ...new TextEncoder().encode("no")]
  return new Uint8Array([0x0a, content.length, ...content])
}

/** Listens on a free port of this machine, or on the one given, until the scope closes. */
export const make = Effect.fnUntraced(function* (port = 0) {
  let behaviour: Behaviour = { _tag: "Accept" }
  let most = 0
  const paths: Array<string> = []
  const spans: Array<string> = []
  const open = new Map<string, number>()
  const headers: Array<IncomingMessage["headers"]> = []
  const received: Received = { resources: [], spans: [], metrics: [], logs: [] }
  const accept = (request: Request, answer: string | Uint8Array = "") => {
    const { path, response, sent } = request
    paths.push(path)
    headers.push(request.headers)
    const signal = /(?:traces|metrics|logs)$/.exec(path)?.[0]
    if (signal !== undefined) {
      const own = readExport(signal, sent)
      received.resources.push(...own.resources)
      received.spans.push(...own.spans)
      received.metrics.push(...own.metrics)
      received.logs.push(...own.logs)
      spans.push(...own.spans.map(({ name }) => name))
    }
    response.writeHead(200, { "content-type": sent.contentType })
    response.end(answer)
  }
  const answer = (request: Request) => {
    const { response } = request
    if (behaviour._tag === "Accept") accept(request)
    if (behaviour._tag === "Delay") setTimeout(accept, behaviour.millis, request)
    if (behaviour._tag === "Refuse") response.writeHead(behaviour.status).end()
    if (behaviour._tag === "HangInBody") response.writeHead(200).write("{")
    if (behaviour._tag === "Redirect") response.writeHead(307, { location: behaviour.to }).end()
    if (behaviour._tag === "Reject") accept(request, partialSuccess(request.sent, behaviour.items))
  }
  const server = createServer((request: IncomingMessage, response) => {
    const path = request.url ?? ""
    const count = (open.get(path) ?? 0) + 1
    open.set(path, count)
    most = Math.max(most, count)
    response.on("close", () => open.set(path, (open.get(path) ?? 0) - 1))
    const chunks: Array<Uint8Array> = []
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk))
    request.on("end", () =>
      answer({
        path,
        headers: request.headers,
        response,
        sent: {
          contentType: request.headers["content-type"] ?? "",
          contentEncoding: request.headers["content-encoding"],
          body: Buffer.concat(chunks),
        },
      }))
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(port, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      }),
  )
  const address = server.address()
  const actualPort = address !== null && typeof address === "object" ? address.port : 0
  const collector: Collector = {
    url: `http://127.0.0.1:${actualPort}`,
    behave: (next) => {
      behaviour = next
    },
    paths,
    headers,
    spans,
    received,
    mostAtOnce: () => most,
  }
  return collector
})
