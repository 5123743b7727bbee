import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { createServer, type ServerOptions } from "node:https"
import { Effect, FileSystem } from "effect"
import { exporting } from "../../support/Exporting.ts"
import { LogLines } from "../../support/LogLines.ts"
import { makeSelfSigned } from "../../support/selfSigned.ts"

const own = makeSelfSigned()
const stranger = makeSelfSigned()

/** A collector that speaks TLS; gives its address and the paths of what it was sent. */
const listen = Effect.fnUntraced(function* (options: ServerOptions) {
  const paths: Array<string | undefined> = []
  const server = createServer(
    { cert: own.certificate, key: own.key, ...options },
    (request, response) => {
      paths.push(request.url)
      request.resume()
      response.end()
    },
  )
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      }),
  )
  const address = server.address()
  assert(typeof address === "object" && address !== null)
  return { url: `https://127.0.0.1:${address.port}`, paths }
})

const write = Effect.fnUntraced(function* (content: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* fs.makeTempFileScoped()
  yield* fs.writeFileString(path, content)
  return path
})

/** Exports one span, and gives what the log says of it. */
const exportTo = (url: string, environment: Record<string, string>) =>
  Effect.gen(function* () {
    yield* Effect.withSpan(Effect.void, "span").pipe(Effect.provide(exporting({
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url,
      ...environment,
    })))
    return [...yield* LogLines]
  }).pipe(Effect.provide(LogLines.layer))

layer(NodeServices.layer, { excludeTestServices: true })("a collector that speaks TLS", (it) => {
  it.effect(
    "is trusted if an authority is named that has signed its certificate",
    () =>
      Effect.gen(function* () {
        const { url, paths } = yield* listen({})
        const ca = yield* write(own.certificate)
        assert.deepStrictEqual(
          yield* exportTo(url, { OTEL_EXPORTER_OTLP_CERTIFICATE: ca }),
          [],
        )
        assert.deepStrictEqual(paths, ["/"])
        const other = yield* write(stranger.certificate)
        yield* exportTo(url, { OTEL_EXPORTER_OTLP_CERTIFICATE: other })
        yield* exportTo(url, {})
        assert.deepStrictEqual(paths, ["/"])
      }).pipe(Effect.scoped),
    60_000,
  )

  it.effect("gets the certificate that it asks for", () =>
    Effect.gen(function* () {
      const { url, paths } = yield* listen({
        requestCert: true,
        rejectUnauthorized: true,
        ca: stranger.certificate,
      })
      const authority = { OTEL_EXPORTER_OTLP_CERTIFICATE: yield* write(own.certificate) }
      yield* exportTo(url, authority)
      assert.deepStrictEqual(paths, [])
      yield* exportTo(url, {
        ...authority,
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: yield* write(stranger.certificate),
        OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: yield* write(stranger.key),
      })
      assert.deepStrictEqual(paths, ["/"])
    }).pipe(Effect.scoped), 60_000)
})
