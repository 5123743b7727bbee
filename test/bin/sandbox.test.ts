import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { createHash } from "node:crypto"
import { connect, createServer, type ListenOptions, type Socket } from "node:net"
import { networkInterfaces } from "node:os"
import { Effect, FileSystem, Layer, Schedule } from "effect"
import { apiKey, databaseUrl } from "../faults/support/ServiceProcess.ts"
import * as Collector from "../support/Collector.ts"
import * as Program from "../support/Program.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const keysOf = (...keys: ReadonlyArray<string>) =>
  JSON.stringify(keys.map((key) => ({
    name: key,
    sha256: createHash("sha256").update(key).digest("hex"),
    scopes: ["*"],
  })))

/** The very task, in an environment of these variables alone. */
const serve = (variables: Record<string, string>, options: Program.StartOptions = {}) =>
  Program.start(["task", "serve"], variables, options)

const database = Effect.map(TestDatabase, ({ connection }) => databaseUrl(connection))

/** Waits until it listens, and gives the address. */
const listening = ({ said }: Program.Program) =>
  Effect.map(said(/Listening on (http:\/\/[^\s",]+)/), ([, address]) => String(address))

const statusOf = (url: string, key: string) =>
  Effect.promise(() =>
    fetch(`${url}/v1/users`, {
      headers: { authorization: `Bearer ${key}`, connection: "close" },
    }).then(async (response) => {
      await response.body?.cancel()
      return response.status
    })
  )

const stop = Effect.fnUntraced(function* (service: Program.Program) {
  yield* service.signal("SIGTERM")
  const { code, output } = yield* service.ended
  assert.strictEqual(code, 0, output)
  return output
})

/** Listens until the scope closes, and passes connections to whatever `onConnection` does. */
const listen = Effect.fnUntraced(function* (
  where: ListenOptions,
  onConnection: (socket: Socket) => void,
) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}))
    onConnection(socket)
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(where, () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        sockets.forEach((socket) => socket.destroy())
        server.close(() => resume(Effect.void))
      }),
  )
  const address = server.address()
  return address !== null && typeof address === "object" ? address.port : 0
})

/** A port that was free a moment ago. */
const freePort = Effect.scoped(listen({ port: 0, host: "127.0.0.1" }, (socket) => socket.destroy()))

const temporary = FileSystem.FileSystem.use((fs) =>
  fs.makeTempDirectoryScoped({ prefix: "latchkey-sandbox-" })
)

const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === "::1")
)

layer(Layer.merge(TestDatabase.layer, NodeServices.layer), { excludeTestServices: true })(
  "deno task serve",
  (it) => {
    it.effect("listens on a name in two threads, with secrets in mounted files that are replaced", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const mount = yield* temporary
        const write = Effect.fnUntraced(function* (version: string, key: string) {
          yield* fs.makeDirectory(`${mount}/..${version}`)
          yield* fs.writeFileString(`${mount}/..${version}/url`, `${yield* database}\n`)
          yield* fs.writeFileString(`${mount}/..${version}/keys`, keysOf(key))
          // As Kubernetes replaces what it has mounted: one link, at once.
          yield* fs.symlink(`..${version}`, `${mount}/..next`)
          yield* fs.rename(`${mount}/..next`, `${mount}/..data`)
        })
        yield* write("1", "first")
        for (const name of ["url", "keys"]) yield* fs.symlink(`..data/${name}`, `${mount}/${name}`)
        const service = yield* serve({
          HOST: "localhost",
          PORT: "0",
          THREADS: "2",
          LOG_FORMAT: "logfmt",
          DATABASE_URL_FILE: `${mount}/url`,
          API_KEYS_FILE: `${mount}/keys`,
        })
        const url = yield* listening(service)
        assert.strictEqual(yield* statusOf(url, "first"), 200)
        yield* write("2", "second")
        // Twenty connections in a row: the system spreads them over both threads.
        yield* Effect.forEach(Array.from({ length: 20 }), () => statusOf(url, "second")).pipe(
          Effect.repeat({
            until: (statuses) => statuses.every((status) => status === 200),
            schedule: Schedule.spaced("100 millis"),
          }),
        )
        assert.strictEqual(yield* statusOf(url, "first"), 401)
        const output = yield* stop(service)
        assert.match(output, /level=INFO .*in 2 threads/)
        assert.match(output, /Reloaded API keys: added \\?"second\\?"; removed \\?"first\\?"/)
        assert.notInclude(output, "level=ERROR")
      }))

    it.effect("makes a key where it has none, and uses it from the second start on", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const dataDir = `${yield* temporary}/not/there`
        const variables = { PORT: "0", DATABASE_URL: yield* database, DATA_DIR: dataDir }
        const outputs = yield* Effect.forEach([1, 2], () =>
          Effect.scoped(Effect.gen(function* () {
            const service = yield* serve(variables)
            const url = yield* listening(service)
            const key = yield* fs.readFileString(`${dataDir}/development-key`)
            assert.strictEqual(yield* statusOf(url, key.trim()), 200)
            return yield* stop(service)
          })))
        assert.include(outputs[0], "latchkey_dev_")
        assert.notInclude(outputs[1], "latchkey_dev_")
      }))

    it.effect("reaches PostgreSQL through a Unix socket, and listens on IPv6 where there is any", () =>
      Effect.gen(function* () {
        const { connection } = yield* TestDatabase
        const directory = yield* temporary
        const { host = "localhost", port = 5432 } = connection
        yield* listen({ path: `${directory}/.s.PGSQL.6432` }, (socket) => {
          const server = host.startsWith("/")
            ? connect({ path: `${host}/.s.PGSQL.${port}` })
            : connect({ host, port: Number(port) })
          server.on("error", () => socket.destroy())
          socket.on("close", () => server.destroy())
          socket.pipe(server).pipe(socket)
        })
        const service = yield* serve({
          HOST: hasIPv6 ? "::1" : "127.0.0.1",
          PORT: "0",
          API_KEYS: keysOf(apiKey),
          DATABASE_URL: databaseUrl({ ...connection, host: directory, port: 6432 }),
        })
        const url = yield* listening(service)
        assert.strictEqual(yield* statusOf(url, apiKey), 200)
        yield* stop(service)
      }))

    it.effect("knows how many files it may have open, and fits its connections to that", () =>
      Effect.gen(function* () {
        const service = yield* serve(
          { PORT: "0", API_KEYS: keysOf(apiKey), DATABASE_URL: yield* database },
          { openFiles: 512 },
        )
        yield* listening(service)
        assert.include(
          yield* stop(service),
          "this process may have only 512 files open",
        )
      }))

    it.effect("exports to a collector that has a name and a path", () =>
      Effect.gen(function* () {
        const collector = yield* Collector.make()
        const service = yield* serve({
          PORT: String(yield* freePort),
          API_KEYS: keysOf(apiKey),
          DATABASE_URL: yield* database,
          OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url.replace("127.0.0.1", "localhost")}/otel/`,
          OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/elsewhere/traces`,
          OTEL_METRIC_EXPORT_INTERVAL: "100",
          OTEL_SERVICE_NAME: "sandboxed",
          OTEL_PYTHON_LOG_CORRELATION: "true",
        })
        const url = yield* listening(service)
        assert.strictEqual(yield* statusOf(url, apiKey), 200)
        yield* Effect.sync(() =>
          ["/elsewhere/traces", "/otel/v1/metrics", "/otel/v1/logs"].every((path) =>
            collector.paths.includes(path)
          )
        ).pipe(Effect.repeat({ until: (all) => all, schedule: Schedule.spaced("50 millis") }))
        assert.strictEqual(collector.received.resources[0]?.["service.name"], "sandboxed")
        assert.include(
          yield* stop(service),
          "since latchkey does not know them: OTEL_PYTHON_LOG_CORRELATION.",
        )
      }))

    /** Starts it, and gives what it says when it has ended with 1: entries, and never a stack. */
    const refusal = Effect.fnUntraced(function* (variables: Record<string, string>) {
      const service = yield* serve({ LOG_FORMAT: "json", PORT: "0", ...variables })
      const { code, output } = yield* service.ended
      assert.strictEqual(code, 1, output)
      assert.notMatch(output, /^\s+at |Uncaught|stack/m)
      return output
    })

    it.effect("reads the certificates that DATABASE_URL names", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* temporary
        for (
          const [name, kind] of [["ca", "CERTIFICATE"], ["crt", "CERTIFICATE"], [
            "key",
            "PRIVATE KEY",
          ]]
        ) {
          yield* fs.writeFileString(`${directory}/${name}`, `-----BEGIN ${kind}-----\n`)
        }
        // A server that has no TLS, which it says before any certificate is looked at.
        const port = yield* listen({ port: 0, host: "127.0.0.1" }, (socket) => {
          socket.once("data", () => socket.write("N"))
        })
        const output = yield* refusal({
          API_KEYS: keysOf(apiKey),
          DATABASE_URL: `postgres://u@localhost:${port}/d?sslmode=verify-full` +
            `&sslrootcert=${directory}/ca&sslcert=${directory}/crt&sslkey=${directory}/key`,
        })
        assert.include(output, "TLS")
        assert.notInclude(output, "cannot be read")
      }))

    it.effect("says what its sandbox cannot let it use", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const path = `${yield* temporary}/keys, all`
        yield* fs.writeFileString(path, keysOf(apiKey))
        const output = yield* refusal({ API_KEYS_FILE: path, DATABASE_URL: yield* database })
        assert.include(output, `The sandbox cannot let ${path} be used`)
        assert.include(output, `API_KEYS_FILE names ${path}, which cannot be read`)
      }))

    it.effect.each(
      [
        [{ HOST: "nowhere.invalid" }, "Cannot listen on nowhere.invalid"],
        [{ HOST: "localhost" }, "another program has the port"],
        [{ API_KEYS: "[]" }, "the list is empty."],
        [{ API_KEYS_FILE: "/dev/null" }, "API_KEYS_FILE names /dev/null"],
        [{ OTEL_EXPORTER_OTLP_ENDPOINT: "collector" }, "OTEL_EXPORTER_OTLP_ENDPOINT must be"],
        [{ OTEL_LOG_LEVEL: "debug" }, "OTEL_LOG_LEVEL is set, but latchkey has LOG_LEVEL"],
      ] as const,
    )("says in a sentence what is wrong: %j", ([variables, sentence]) =>
      Effect.gen(function* () {
        const taken = yield* listen({ port: 0, host: "127.0.0.1" }, () => {})
        const output = yield* refusal({
          DATABASE_URL: yield* database,
          PORT: String(taken),
          ...("API_KEYS_FILE" in variables ? {} : { API_KEYS: keysOf(apiKey) }),
          ...variables,
        })
        assert.include(output, sentence)
      }))

    it.effect("says that it brings no database of its own", () =>
      Effect.gen(function* () {
        assert.include(
          yield* refusal({ API_KEYS: keysOf(apiKey) }),
          "DATABASE_URL or DATABASE_URL_FILE must be set",
        )
      }))
  },
)
