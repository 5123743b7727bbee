/**
 * Calls of a service that may be away: what came of each is a value, whatever it was.
 */
import { Agent, request } from "node:http"
import { Effect } from "effect"
import { type Answer, makeAnswer } from "../../support/answers.ts"
import { apiKey } from "./ServiceProcess.ts"

export type Outcome =
  | { readonly _tag: "Answered"; readonly answer: Answer }
  /** Nothing was sent: nobody listens. */
  | { readonly _tag: "Refused" }
  /** The connection ended before the answer: whether the call was carried out is not known. */
  | { readonly _tag: "Lost"; readonly code: string }

export interface Call {
  readonly method: string
  readonly path: string
  readonly json?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** The longest that a call may take before the service is taken to hang. */
const patience = 300_000

/** Keeps connections alive between calls, as clients do. */
export const makeClient = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => new Agent({ keepAlive: true, maxSockets: 64 })),
    (agent) => Effect.sync(() => agent.destroy()),
  ),
  (agent) =>
    Effect.fnUntraced(function* (port: number, { method, path, json, headers = {} }: Call) {
      const body = json === undefined ? undefined : JSON.stringify(json)
      return yield* Effect.callback<Outcome>((resume) => {
        const outgoing = request(
          {
            agent,
            host: "127.0.0.1",
            port,
            method,
            path,
            headers: {
              authorization: `Bearer ${apiKey}`,
              ...(body === undefined ? {} : { "content-type": "application/json" }),
              ...headers,
            },
            timeout: patience,
          },
          (incoming) => {
            const chunks: Array<Uint8Array> = []
            incoming.on("data", (chunk: Uint8Array) => chunks.push(chunk))
            incoming.on("error", lost)
            incoming.on("end", () => {
              const received = Object.fromEntries(
                Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
              )
              const text = Buffer.concat(chunks).toString()
              const answer = makeAnswer(incoming.statusCode ?? 0, received, text)
              resume(Effect.succeed({ _tag: "Answered", answer }))
            })
          },
        )
        const lost = (error: NodeJS.ErrnoException) =>
          resume(Effect.succeed(
            error.code === "ECONNREFUSED"
              ? { _tag: "Refused" }
              : { _tag: "Lost", code: error.code ?? error.message },
          ))
        outgoing.on("timeout", () => outgoing.destroy(new Error("The service hangs")))
        outgoing.on("error", lost)
        outgoing.end(body)
        return Effect.sync(() => outgoing.destroy())
      })
    }),
)

export type Client = Effect.Success<typeof makeClient>
