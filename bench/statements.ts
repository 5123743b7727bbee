/**
 * What latchkey sends to PostgreSQL for a request, read off the wire: no copy of its statements that
 * could be another one than the service's.
 */
import { Effect } from "effect"
import type { Buffer } from "node:buffer"
import { contestants } from "./contestants.ts"
import { Database } from "./Database.ts"
import { Failure } from "./Failure.ts"
import type { Request } from "./operations.ts"
import * as Server from "./Server.ts"
import * as Wire from "./Wire.ts"

/** A statement, and the texts of its parameters. */
export interface Sent {
  readonly text: string
  readonly parameters: ReadonlyArray<string | null>
}

/** The same as it is on the wire. */
interface Message {
  readonly text: string
  readonly values: ReadonlyArray<{ readonly bytes: Buffer | null; readonly isBinary: boolean }>
}

/** The text of a parameter in binary format, in which the client sends booleans and integers. */
const textOf = (binary: Buffer): string => {
  if (binary.length === 1) return String(binary[0] === 1)
  if (binary.length === 4) return String(binary.readInt32BE())
  throw new Error(`A binary parameter of ${binary.length} bytes`)
}

/** Reads a message of the protocol from its beginning. */
const reader = (body: Buffer) => {
  let at = 0
  const take = (length: number) => body.subarray(at, at += length)
  const int16 = () => take(2).readInt16BE()
  return {
    int16,
    int16s: () => Array.from({ length: int16() }, int16),
    /** Up to a zero byte. */
    string: () => {
      const text = take(body.indexOf(0, at) - at).toString()
      take(1)
      return text
    },
    /** Bytes behind their number, which is negative for null. */
    value: () => {
      const length = take(4).readInt32BE()
      return length < 0 ? null : take(length)
    },
  }
}

const textsOf = ({ text, values }: Message): Sent => ({
  text,
  parameters: values.map(({ bytes, isBinary }) =>
    bytes === null ? null : isBinary ? textOf(bytes) : bytes.toString()
  ),
})

/** Calls back with the statements of a connection. */
const statementsOf = (onStatement: (statement: Message) => void) => {
  const prepared = new Map<string, string>()
  return (type: string, body: Buffer) => {
    const read = reader(body)
    if (type === "Q") onStatement({ text: read.string(), values: [] })
    if (type === "P") {
      const name = read.string()
      prepared.set(name, read.string())
    }
    if (type === "B") {
      read.string() // the portal
      const text = prepared.get(read.string())!
      const formats = read.int16s()
      onStatement({
        text,
        values: Array.from({ length: read.int16() }, (_, k) => ({
          bytes: read.value(),
          // One format is that of all.
          isBinary: formats[formats.length === 1 ? 0 : k] === 1,
        })),
      })
    }
  }
}

/** Starts latchkey on a proxy; `sentFor` gives what it sends from a request until its answer. */
export const record = Effect.gen(function* () {
  const { url } = yield* Database
  let sent: Array<Message> = []
  const proxy = yield* Wire.listen(url, () => ({
    sent: statementsOf((statement) => sent.push(statement)),
    received: () => {},
  }))
  const server = yield* Server.start(yield* contestants["latchkey"]!, proxy)

  const sentFor = Effect.fnUntraced(function* (request: Request) {
    sent = []
    const { status, json } = yield* Server.send(server.port, request)
    if (status >= 300 || sent.length === 0) {
      return yield* new Failure({
        message: `latchkey answers ${request.path} with ${status}, after ${sent.length} ` +
          `statement(s): ${JSON.stringify(json)}`,
      })
    }
    return yield* Effect.try({
      try: () => sent.map(textsOf),
      catch: (cause) => new Failure({ message: `What latchkey sends cannot be read: ${cause}` }),
    })
  })
  return { sentFor }
})
