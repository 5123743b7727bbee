import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted } from "effect"
import { Buffer } from "node:buffer"
import { connect, createServer, type Server, type Socket } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import * as Database from "../../src/database/Database.ts"

/** What connecting fails with. */
const failureOf = (connection: ConnectionParameters) =>
  Effect.flip(Effect.scoped(Layer.build(Database.layer({ connection }))))

/** PostgreSQL's SSLRequest, told from a StartupMessage by its code. */
const isSslRequest = (data: Uint8Array) =>
  data.length === 8 && Buffer.from(data).readInt32BE(4) === 80877103

/** PostgreSQL's ErrorResponse. */
const refusal = (code: string) => {
  const body = Buffer.from(`SFATAL\0VFATAL\0C${code}\0Mtoo many clients\0\0`)
  const head = Buffer.alloc(5, "E")
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

/** A server that offers no TLS, and gives everybody who wants to sign in the same answer, or none. */
const fakeServer = (answer?: Uint8Array) =>
  Effect.acquireRelease(
    Effect.callback<{
      readonly connection: ConnectionParameters
      readonly connections: () => number
      readonly close: Effect.Effect<void>
    }>((resume) => {
      const sockets = new Set<Socket>()
      const server = createServer((socket) => {
        sockets.add(socket)
        // A client that gives up may cut the connection; that is its right.
        socket.on("error", () => {})
        socket.on("data", (data) => {
          if (typeof data !== "string" && isSslRequest(data)) socket.write("N")
          else if (answer !== undefined) socket.write(answer)
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        assert(typeof address === "object" && address !== null)
        resume(Effect.succeed({
          connection: {
            host: "127.0.0.1",
            port: address.port,
            database: "d",
            username: "u",
            password: Redacted.make("hunter2"),
            ssl: false,
          },
          connections: () => sockets.size,
          close: Effect.callback((resume) => {
            for (const socket of sockets) socket.destroy()
            server.close(() => resume(Effect.void))
          }),
        }))
      })
    }),
    ({ close }) => close,
  )

/** Of `elsewhere.example`, signed by itself, until 2126. */
const certificate = `-----BEGIN CERTIFICATE-----
MIIBrDCCAVOgAwIBAgIUJiUHlqbDdAcb2wa1COLDfk2RUWowCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRZWxzZXdoZXJlLmV4YW1wbGUwIBcNMjYxMTI5MDA1MjAwWhgP
MjEyNjExMDUwMDUyMDBaMBwxGjAYBgNVBAMMEWVsc2V3aGVyZS5leGFtcGxlMFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEDU6sW6BBG7bYROh1Y4LtyZ+PGO3NfRdO
xbx9xYu20DXuyXO1fqLD5FDIN24Z842UTRQXXFcccHAxBd7o0SATi6NxMG8wHQYD
VR0OBBYEFBG6PTxrPYkXTXHJnUA9kswThCwCMB8GA1UdIwQYMBaAFBG6PTxrPYkX
TXHJnUA9kswThCwCMA8GA1UdEwEB/wQFMAMBAf8wHAYDVR0RBBUwE4IRZWxzZXdo
ZXJlLmV4YW1wbGUwCgYIKoZIzj0EAwIDRwAwRAIgGhl59jSO3os/3fN2jtqvyNZJ
hh5w/KDRKwrpIOVqCowCIHqIwPCH9iYKAn3Xs+Uh7G5geW/o2Xkn8DexU9hNgIUU
-----END CERTIFICATE-----`
const privateKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7wB1un3wkG9EGBMZ
qnhrvnSv1UQovPHmaF368C6MskahRANCAAQNTqxboEEbtthE6HVjgu3Jn48Y7c19
F07FvH3Fi7bQNe7Jc7V+osPkUMg3bhnzjZRNFBdcVxxwcDEF3ujRIBOL
-----END PRIVATE KEY-----`

/** A server whose certificate is for another host; gives the port. */
const tlsServer = Effect.gen(function* () {
  const listen = (server: Server) =>
    Effect.acquireRelease(
      Effect.callback<number>((resume) => {
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          assert(typeof address === "object" && address !== null)
          resume(Effect.succeed(address.port))
        })
      }),
      () => Effect.sync(() => server.close()),
    )
  const port = yield* listen(createTlsServer({ key: privateKey, cert: certificate }))
  return yield* listen(createServer((socket) => {
    socket.on("error", () => {})
    socket.once("data", () => {
      const tls = connect({ host: "127.0.0.1", port })
      tls.on("error", () => socket.destroy())
      socket.write("S")
      socket.pipe(tls).pipe(socket)
    })
  }))
})

describe("DatabaseUnreachable", () => {
  it.effect.each(
    [
      ["28P01", "credentials", "the password is wrong; check user and password (28P01)"],
      [
        "28000",
        "credentials",
        "the server does not let it in; check user, sslmode and pg_hba.conf (28000)",
      ],
      ["42501", "rights", "it may not connect; GRANT CONNECT ON DATABASE to it (42501)"],
      [
        "08P01",
        "other",
        "the server refused the session settings; " +
        "behind PgBouncer, add pgbouncer=true to the URL (08P01)",
      ],
      ["53200", "other", "too many clients (53200)"],
      [
        "53300",
        "busy",
        "the server has no connection left for it; check the limits of both (53300)",
      ],
      ["57P03", "busy", "the server is starting, or shutting down (57P03)"],
    ] as const,
  )("says what %s means", ([code, reason, text]) =>
    Effect.gen(function* () {
      const { connection } = yield* fakeServer(refusal(code))
      const error = yield* failureOf(connection)
      assert.deepStrictEqual(
        [error.reason, error.message],
        [
          reason,
          `Cannot use the database "d" at 127.0.0.1:${connection.port} as user "u": ${text}.`,
        ],
      )
    }))

  it.effect("names each server that was tried, and why it was not taken", () =>
    Effect.gen(function* () {
      const gone = yield* fakeServer()
      yield* gone.close
      const full = yield* fakeServer(refusal("53300"))
      const error = yield* failureOf({ ...full.connection, others: [gone.connection] })
      assert.deepStrictEqual(
        [error.reason, error.message],
        [
          "busy",
          'Cannot use the database "d" as user "u": ' +
          `127.0.0.1:${full.connection.port}: the server has no connection left for it; ` +
          `check the limits of both (53300); 127.0.0.1:${gone.connection.port}: ` +
          "nothing listens there; check host and port (ECONNREFUSED).",
        ],
      )
    }))

  it.effect.each([["28P01", 0], ["28000", 0], ["3D000", 0], ["57P03", 1]] as const)(
    "after %s asks the next server %i times",
    ([code, expected]) =>
      Effect.gen(function* () {
        const first = yield* fakeServer(refusal(code))
        const next = yield* fakeServer(refusal("28P01"))
        const error = yield* failureOf({ ...first.connection, others: [next.connection] })
        assert.strictEqual(error.reason, code === "3D000" ? "database" : "credentials")
        assert.strictEqual(next.connections(), expected)
      }),
  )

  it.effect("takes no server whose certificate is for another host, and tries the next", () =>
    Effect.gen(function* () {
      const next = yield* fakeServer(refusal("57P03"))
      const error = yield* failureOf({
        host: "localhost",
        port: yield* tlsServer,
        database: "d",
        username: "u",
        ssl: { ca: certificate },
        others: [{ ...next.connection, ssl: { ca: certificate } }],
      })
      assert.match(
        error.message,
        /localhost:\d+: its certificate is for another host.*; 127\.0\.0\.1:\d+: the server offers no TLS/,
      )
      assert.strictEqual(next.connections(), 1)
    }))

  it.effect("says that nothing listens", () =>
    Effect.gen(function* () {
      const { connection, close } = yield* fakeServer()
      yield* close
      const error = yield* failureOf(connection)
      assert.strictEqual(error.reason, "network")
      assert.match(error.message, /nothing listens there; .*\(ECONNREFUSED\)\.$/)
    }))

  it.effect("says that there is no such socket", () =>
    Effect.gen(function* () {
      const error = yield* failureOf({ host: "/nonexistent", database: "d", username: "u" })
      assert.strictEqual(
        error.message,
        'Cannot use the database "d" at /nonexistent:5432 as user "u": ' +
          "there is no such socket; check host and port (ENOENT).",
      )
    }))

  it.live("says that the server does not answer", () =>
    Effect.gen(function* () {
      const { connection } = yield* fakeServer()
      const error = yield* failureOf({ ...connection, connectTimeout: Duration.millis(20) })
      assert.strictEqual(error.reason, "network")
      assert.match(error.message, /no connection, Connection timed out; check host and port\.$/)
    }))

  it.effect("says that TLS is refused, and does not do without it", () =>
    Effect.gen(function* () {
      const { connection, connections } = yield* fakeServer(refusal("28P01"))
      const error = yield* failureOf({ ...connection, ssl: { rejectUnauthorized: false } })
      assert.strictEqual(error.reason, "tls")
      assert.match(error.message, /the server offers no TLS; .*\.$/)
      assert.strictEqual(connections(), 1)
    }))

  it.effect("says what to do about a certificate for another host, and not to accept it", () =>
    Effect.gen(function* () {
      const error = yield* failureOf({
        host: "localhost",
        port: yield* tlsServer,
        database: "d",
        username: "u",
        ssl: { ca: certificate },
      })
      assert.strictEqual(error.reason, "tls")
      assert.include(
        error.message,
        "its certificate is for another host name; connect by a name that is in the certificate, " +
          "or have the server use one for this name (ERR_TLS_CERT_ALTNAME_INVALID).",
      )
      assert.notInclude(error.message, "sslmode")
    }))

  it.effect("does without TLS where that is allowed", () =>
    Effect.gen(function* () {
      const { connection, connections } = yield* fakeServer(refusal("28P01"))
      const error = yield* failureOf({ ...connection, ssl: true, sslFallback: false })
      assert.strictEqual(error.reason, "credentials")
      assert.strictEqual(connections(), 2)
    }))

  it.effect.each([["28000", 2], ["28P01", 1], ["3D000", 1]] as const)(
    "looks for another encryption after %s with %i connections in all",
    ([code, expected]) =>
      Effect.gen(function* () {
        const { connection, connections } = yield* fakeServer(refusal(code))
        yield* failureOf({ ...connection, sslFallback: true })
        assert.strictEqual(connections(), expected)
      }),
  )
})
