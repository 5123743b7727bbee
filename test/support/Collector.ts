/**
 * An OpenTelemetry collector, as well or as badly as it behaves.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { Effect, Schema } from "effect"

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

export interface Collector {
  readonly url: string
  readonly behave: (behaviour: Behaviour) => void
  /** The paths of the requests that it has taken, one entry each. */
  readonly paths: ReadonlyArray<string>
  /** The names of the spans that it has taken. */
  readonly spans: ReadonlyArray<string>
  /** The most requests that there have been at once for one path. */
  readonly mostAtOnce: () => number
}

const Traces = Schema.fromJsonString(Schema.Struct({
  resourceSpans: Schema.Array(Schema.Struct({
    scopeSpans: Schema.Array(Schema.Struct({
      spans: Schema.Array(Schema.Struct({ name: Schema.String })),
    })),
  })),
}))

const spansOf = (body: string) =>
  Schema.decodeUnknownSync(Traces)(body).resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) => spans.map(({ name }) => name))
  )

/** Listens on a free port of this machine, or on the one given, until the scope closes. */
export const make = Effect.fnUntraced(function* (port = 0) {
  let behaviour: Behaviour = { _tag: "Accept" }
  let most = 0
  const paths: Array<string> = []
  const spans: Array<string> = []
  const open = new Map<string, number>()
  const accept = (path: string, body: string, response: ServerResponse) => {
    paths.push(path)
    if (path.endsWith("/v1/traces")) spans.push(...spansOf(body))
    response.end("{}")
  }
  const answer = (path: string, body: string, response: ServerResponse) => {
    if (behaviour._tag === "Accept") accept(path, body, response)
    if (behaviour._tag === "Delay") setTimeout(accept, behaviour.millis, path, body, response)
    if (behaviour._tag === "Refuse") response.writeHead(behaviour.status).end()
    if (behaviour._tag === "HangInBody") response.writeHead(200).write("{")
  }
  const server = createServer((request: IncomingMessage, response) => {
    const path = request.url ?? ""
    const count = (open.get(path) ?? 0) + 1
    open.set(path, count)
    most = Math.max(most, count)
    response.on("close", () => open.set(path, (open.get(path) ?? 0) - 1))
    const chunks: Array<Uint8Array> = []
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk))
    request.on("end", () => answer(path, Buffer.concat(chunks).toString(), response))
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
    spans,
    mostAtOnce: () => most,
  }
  return collector
})
