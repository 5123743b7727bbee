import { assert, layer } from "@effect/vitest"
import { request } from "node:http"
import { gunzipSync } from "node:zlib"
import { Effect } from "effect"
import { address } from "../../support/calls.ts"
import { TestService } from "../../support/TestService.ts"

interface Document {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly bytes: Uint8Array
}

/** With the body as the bytes that came. */
const fetchDocument = Effect.fnUntraced(function* (
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = "GET",
) {
  const target = yield* address
  return yield* Effect.callback<Document>((resume) => {
    const outgoing = request({ ...target, method, path, headers }, (incoming) => {
      const chunks: Array<Uint8Array> = []
      incoming.on("data", (chunk: Uint8Array) => chunks.push(chunk))
      incoming.on("end", () =>
        resume(Effect.succeed({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          bytes: Buffer.concat(chunks),
        })))
    })
    outgoing.on("error", (error) => resume(Effect.die(error)))
    outgoing.end()
  })
})

const assertPlain = ({ status, headers, bytes }: Document) => {
  assert.strictEqual(status, 200)
  assert.isUndefined(headers["content-encoding"])
  assert.strictEqual(headers["vary"], "accept-encoding")
  return new TextDecoder().decode(bytes)
}

const assertCompressed = ({ status, headers, bytes }: Document) => {
  assert.strictEqual(status, 200)
  assert.strictEqual(headers["content-encoding"], "gzip")
  assert.strictEqual(headers["vary"], "accept-encoding")
  assert.strictEqual(headers["content-length"], String(bytes.byteLength))
  return gunzipSync(bytes).toString()
}

layer(TestService)("the documentation", (it) => {
  const documents = { "/docs": "text/html", "/openapi.json": "application/json" }
  for (const [path, mediaType] of Object.entries(documents)) {
    it.effect(`at ${path} is compressed for clients that take gzip, and for no others`, () =>
      Effect.gen(function* () {
        const plain = assertPlain(yield* fetchDocument(path))
        for (
          const accepted of [
            "gzip",
            "GZIP",
            "gzip, deflate, br, zstd",
            "br;q=1.0, gzip;q=0.5",
            "*",
            "identity;q=0, *;q=0.1",
          ]
        ) {
          const answer = yield* fetchDocument(path, { "accept-encoding": accepted })
          assert.strictEqual(assertCompressed(answer), plain, accepted)
          assert.include(String(answer.headers["content-type"]), mediaType)
          assert.isBelow(answer.bytes.byteLength, plain.length / 3)
        }
        for (
          const refused of ["", "br", "gzip;q=0", "gzip; q=0.000, *", "identity", "xgzip", ";"]
        ) {
          const answer = yield* fetchDocument(path, { "accept-encoding": refused })
          assert.strictEqual(assertPlain(answer), plain, refused)
        }
      }))

    it.effect(`at ${path} is not sent again to clients that have it`, () =>
      Effect.gen(function* () {
        const encodings = [{}, { "accept-encoding": "gzip" }]
        const tags = new Set<string>()
        for (const encoding of encodings) {
          const first = yield* fetchDocument(path, encoding)
          const tag = String(first.headers["etag"])
          tags.add(tag)
          assert.match(tag, /^"[^"]+"$/)
          for (const known of [tag, `W/${tag}`, `"other", ${tag}`, "*"]) {
            const again = yield* fetchDocument(path, {
              ...encoding,
              "if-none-match": known,
            })
            assert.strictEqual(again.status, 304, known)
            assert.strictEqual(again.bytes.byteLength, 0)
            for (const name of ["etag", "vary", "cache-control"]) {
              assert.strictEqual(again.headers[name], first.headers[name])
            }
          }
          const changed = yield* fetchDocument(path, {
            ...encoding,
            "if-none-match": `"other"`,
          })
          assert.deepStrictEqual(changed.bytes, first.bytes)
        }
        // What is cached in one coding must not be taken for the other.
        assert.strictEqual(tags.size, encodings.length)
      }))

    it.effect(`at ${path} answers HEAD as it does GET, and ignores a query`, () =>
      Effect.gen(function* () {
        for (const encoding of [{}, { "accept-encoding": "gzip" }]) {
          const { headers } = yield* fetchDocument(`${path}?version=1`, encoding)
          const head = yield* fetchDocument(path, encoding, "HEAD")
          assert.strictEqual(head.status, 200)
          assert.strictEqual(head.bytes.byteLength, 0)
          for (const name of ["etag", "content-encoding", "content-type", "content-length"]) {
            assert.strictEqual(head.headers[name], headers[name], name)
          }
        }
      }))
  }
})
