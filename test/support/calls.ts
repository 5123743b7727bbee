/**
 * Calls of the service under test, with the request target exactly as it is given.
 */
import { Agent, request } from "node:http"
import { Effect } from "effect"
import { HttpServer } from "effect/http"
import { type Answer, makeAnswer } from "./answers.ts"
import { keyWith } from "./TestService.ts"

export interface CallOptions {
  /** Sent as JSON. */
  readonly json?: unknown
  /** Sent as it is, in place of `json`; undefined sends no body and no length. */
  readonly body?: string | Uint8Array | undefined
  readonly headers?: { readonly [name: string]: string | ReadonlyArray<string> }
  /** The API key, one for everything if not given; null sends none. */
  readonly key?: string | null
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 })

const headersOf = ({ json, headers = {}, key = keyWith("*") }: CallOptions) => ({
  ...(key === null ? {} : { authorization: `Bearer ${key}` }),
  ...(json === undefined ? {} : { "content-type": "application/json" }),
  ...Object.fromEntries(
    Object.entries(headers).map((
      [name, value],
    ) => [name, typeof value === "string" ? value : [...value]]),
  ),
})

/** Where the service listens. */
export const address = HttpServer.HttpServer.use(({ address }) => {
  const { hostname, port } = new URL(HttpServer.formatAddress(address))
  return Effect.succeed({ host: hostname, port: Number(port) })
})

export const call = Effect.fnUntraced(function* (
  method: string,
  target: string,
  options: CallOptions = {},
) {
  const { host, port } = yield* address
  const body = options.json === undefined ? options.body : JSON.stringify(options.json)
  return yield* Effect.callback<Answer>((resume) => {
    const outgoing = request(
      { agent, host, port, method, path: target, headers: headersOf(options), timeout: 300_000 },
      (incoming) => {
        const chunks: Array<Uint8Array> = []
        incoming.on("data", (chunk: Uint8Array) => chunks.push(chunk))
        incoming.on("end", () => {
          const headers = Object.fromEntries(
            Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
          )
          const text = Buffer.concat(chunks).toString()
          resume(Effect.succeed(makeAnswer(incoming.statusCode ?? 0, headers, text)))
        })
      },
    )
    outgoing.on("timeout", () => outgoing.destroy(new Error("No answer within five minutes")))
    outgoing.on("error", (error) => resume(Effect.die(error)))
    outgoing.end(body)
    return Effect.sync(() => outgoing.destroy())
  })
})

export const get = (target: string, options?: CallOptions) => call("GET", target, options)
export const post = (target: string, json: unknown, options?: CallOptions) =>
  call("POST", target, { json, ...options })
export const patch = (target: string, json: unknown, options?: CallOptions) =>
  call("PATCH", target, { json, ...options })
