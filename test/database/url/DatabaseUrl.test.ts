import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, FileSystem, Redacted } from "effect"
import { placeOf, serversOf, targets } from "../../../src/database/ConnectionParameters.ts"
import * as DatabaseUrl from "../../../src/database/url/DatabaseUrl.ts"

const parse = (url: string, options?: DatabaseUrl.ParseOptions) =>
  DatabaseUrl.parse(Redacted.make(url), options)

const messageOf = (url: string, options?: DatabaseUrl.ParseOptions) =>
  Effect.map(Effect.flip(parse(url, options)), ({ message }) => message)

/** A file that looks like a certificate, which is all that parsing asks for. */
const certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
const writeCertificate = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* fs.makeTempFileScoped()
  yield* fs.writeFileString(path, certificate)
  return path
})

const secretOf = (password: unknown) =>
  Redacted.isRedacted(password) ? Redacted.value(password) : undefined

const noCheck = { rejectUnauthorized: false }

layer(NodeServices.layer)("DatabaseUrl", (it) => {
  it.effect.each(
    [
      ["postgres://u@h/d", { host: "h", port: 5432, username: "u", database: "d" }],
      ["postgresql://u@h:6543/d", { host: "h", port: 6543, username: "u", database: "d" }],
      ["postgres://u@h", { host: "h", username: "u", database: "u" }],
      ["postgres://u@h/", { database: "u" }],
      ["postgres://u@h?", { database: "u" }],
      ["postgres://u@/d", { host: "localhost", database: "d" }],
      ["postgres://u@h:/d", { port: 5432 }],
      ["postgres://u%40corp:p@h/a%2Fb%20c%25", { username: "u@corp", database: "a/b c%" }],
      ["postgres://u@h/a/b", { database: "a/b" }],
      ["postgres://%C3%BC@h", { username: "ü" }],
      ["postgres://u@[::1]/d", { host: "::1", port: 5432 }],
      ["postgres://u@[2001:db8::1]:6543/d", { host: "2001:db8::1", port: 6543 }],
      ["postgres://u@127.0.0.1/d", { host: "127.0.0.1" }],
      ["postgres://u@db_1.example-x.com./d", { host: "db_1.example-x.com." }],
      ["postgres://u@/d?host=/run/pg", { host: "/run/pg", port: 5432, ssl: false }],
      ["postgres://u@%2Frun%2Fpg:5433/d", { host: "/run/pg", port: 5433, ssl: false }],
      ["postgres:///d?host=/run/pg&user=u&port=5433", { host: "/run/pg", port: 5433 }],
      ["postgres://u@h/d?host=%3A%3A1", { host: "::1" }],
      ["postgres://?user=u&host=h&port=1&dbname=d", {
        host: "h",
        port: 1,
        username: "u",
        database: "d",
      }],
    ] as const,
  )("reads %s", ([url, expected]) =>
    Effect.gen(function* () {
      const { parameters, warnings } = yield* parse(url)
      assert.deepInclude(parameters, expected)
      assert.deepStrictEqual(warnings, [])
    }))

  it.effect.each(
    [
      ["postgres://u@a:1,b:2/d", ["a:1", "b:2"]],
      ["postgres://u@a,b:2/d", ["a:5432", "b:2"]],
      ["postgres://u@a,,[::1]:7/d", ["a:5432", "localhost:5432", "[::1]:7"]],
      ["postgres://u@/d?host=a,b&port=1,2", ["a:1", "b:2"]],
      ["postgres://u@/d?host=a,b&port=1", ["a:1", "b:1"]],
      ["postgres://u@/d?host=a,b&port=,2", ["a:5432", "b:2"]],
      ["postgres://u@a,b/d?hostaddr=10.0.0.1,10.0.0.2", ["10.0.0.1:5432", "10.0.0.2:5432"]],
      ["postgres://u@/d?hostaddr=10.0.0.1,10.0.0.2", ["10.0.0.1:5432", "10.0.0.2:5432"]],
      ["postgres://u@%2Frun%2Fpg:1,b/d", ["/run/pg:1", "b:5432"]],
      ["postgres://u@a%2Cb/d", ["a:5432", "b:5432"]],
    ] as const,
  )("reads the servers of %s", ([url, expected]) =>
    Effect.gen(function* () {
      const { parameters, warnings } = yield* parse(url)
      assert.deepStrictEqual<unknown>(serversOf(parameters).map(placeOf), expected)
      assert.strictEqual(parameters.target, "read-write")
      assert.deepStrictEqual(warnings, [])
    }))

  it.effect("verifies each server by its own name, and none over a Unix socket", () =>
    Effect.gen(function* () {
      const { parameters, warnings } = yield* parse(
        "postgres://u@a,b,/d?host=a,b,/run/pg&hostaddr=10.0.0.1,,&sslmode=verify-full",
      )
      assert.deepStrictEqual<unknown>(serversOf(parameters).map(({ host, ssl }) => [host, ssl]), [
        ["10.0.0.1", { servername: "a" }],
        ["b", {}],
        ["/run/pg", false],
      ])
      assert.deepStrictEqual(warnings, [
        "DATABASE_URL names a Unix socket, over which there is no TLS.",
      ])
    }))

  it.effect("reads which server is wanted, and in which order they are tried", () =>
    Effect.gen(function* () {
      for (const target of targets) {
        const { parameters } = yield* parse(`postgres://u@a,b/d?target_session_attrs=${target}`)
        assert.deepInclude(parameters, { target, inRandomOrder: false })
      }
      const { parameters } = yield* parse("postgres://u@a,b/d?load_balance_hosts=random")
      assert.isTrue(parameters.inRandomOrder)
    }))

  it.effect.each(
    [
      ["p%40ss%3Aw%2Fo%3Fr%23d%2541%20%2B%26%3D%60", "p@ss:w/o?r#d%41 +&=`"],
      ["a+b", "a+b"],
      ["a?b", "a?b"],
      ["a#b", "a#b"],
      ["a:b", "a:b"],
      ["%E2%82%AC", "€"],
    ] as const,
  )("reads the password %s as %s", ([written, password]) =>
    Effect.gen(function* () {
      const { parameters } = yield* parse(`postgres://u:${written}@h/d`)
      assert.strictEqual(secretOf(parameters.password), password)
      assert.deepInclude(parameters, { host: "h", username: "u", database: "d" })
    }))

  it.effect("takes an empty password for none", () =>
    Effect.gen(function* () {
      const { parameters } = yield* parse("postgres://u:@h/d")
      assert.isUndefined(parameters.password)
    }))

  it.effect.each([
    ["", noCheck, false],
    ["?sslmode=disable", false, undefined],
    ["?sslmode=allow", false, noCheck],
    ["?sslmode=prefer", noCheck, false],
    ["?sslmode=require", noCheck, undefined],
    ["?ssl=true", noCheck, undefined],
    ["?sslmode=verify-full", {}, undefined],
    ["?sslrootcert=system", {}, undefined],
    ["?sslmode=verify-full&sslrootcert=system", {}, undefined],
    ["?sslmode=verify-full&ssl_min_protocol_version=TLSv1.3", { minVersion: "TLSv1.3" }, undefined],
    ["?sslmode=require&ssl_min_protocol_version=TLSv1", noCheck, undefined],
    ["?sslmode=require&ssl_max_protocol_version=TLSv1.2", {
      ...noCheck,
      maxVersion: "TLSv1.2",
    }, undefined],
    ["?sslmode=verify-full&hostaddr=10.0.0.1", { servername: "h" }, undefined],
  ])(
    "gives the TLS settings of libpq for %j without a root certificate",
    ([query, ssl, other]) =>
      Effect.gen(function* () {
        const { parameters } = yield* parse(`postgres://u@h/d${query}`)
        assert.deepStrictEqual<unknown>(parameters.ssl, ssl)
        assert.deepStrictEqual<unknown>(parameters.sslFallback, other)
      }),
  )

  it.effect.each([
    ["disable", false],
    ["require", true],
    ["verify-ca", true],
  ])(
    "checks the chain but not the host for %s with a root certificate: %s",
    ([mode, checked]) =>
      Effect.gen(function* () {
        const path = yield* writeCertificate
        const { parameters: { ssl }, files } = yield* parse(
          `postgres://u@h/d?sslmode=${mode}&sslrootcert=${path}`,
        )
        assert.deepStrictEqual(files, [path])
        if (!checked || typeof ssl !== "object") return assert.isFalse(checked || ssl)
        assert.strictEqual(ssl.ca, certificate)
        assert.isUndefined(ssl.rejectUnauthorized)
        assert.isFunction(ssl.checkServerIdentity)
      }),
  )

  it.effect("says when a root certificate has no effect", () =>
    Effect.gen(function* () {
      const caFile = yield* writeCertificate
      const { warnings } = yield* parse("postgres://u@h/d?sslmode=disable", { caFile })
      assert.deepStrictEqual(warnings, [
        "DATABASE_URL has sslmode=disable, so the root certificate has no effect.",
      ])
    }))

  it.effect("says that a Unix socket has no TLS where that was asked for", () =>
    Effect.gen(function* () {
      for (const sslmode of ["verify-full", "require"]) {
        const { parameters, warnings } = yield* parse(
          `postgres://u@/d?host=/run/pg&sslmode=${sslmode}&schema=a`,
        )
        assert.isFalse(parameters.ssl)
        assert.deepStrictEqual(warnings, [
          "DATABASE_URL has schema, which has no effect here.",
          "DATABASE_URL names a Unix socket, over which there is no TLS.",
        ])
      }
    }))

  it.effect("verifies everything with a root certificate where no sslmode is given", () =>
    Effect.gen(function* () {
      const caFile = yield* writeCertificate
      const { parameters, files } = yield* parse("postgres://u@h/d", { caFile })
      assert.deepStrictEqual(parameters.ssl, { ca: certificate })
      assert.isUndefined(parameters.sslFallback)
      assert.deepStrictEqual(files, [caFile])
    }))

  it.effect("hands over a client's certificate and key", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const cert = yield* writeCertificate
      const key = yield* fs.makeTempFileScoped()
      const pem = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
      yield* fs.writeFileString(key, pem)
      const { parameters, files } = yield* parse(
        `postgres://u@h/d?sslmode=require&sslcert=${cert}&sslkey=${key}&sslpassword=p`,
      )
      assert.deepStrictEqual(parameters.ssl, {
        rejectUnauthorized: false,
        cert: certificate,
        key: pem,
        passphrase: "p",
      })
      assert.deepStrictEqual(files, [cert, key])
    }))

  it.effect("honours libpq's other parameters", () =>
    Effect.gen(function* () {
      const { parameters, warnings } = yield* parse(
        "postgres://u@h/d?application_name=a+b&options=-c%20geqo%3Doff&connect_timeout=3" +
          "&keepalives_idle=30&target_session_attrs=read-write&pgbouncer=true" +
          "&channel_binding=prefer&gssencmode=disable&client_encoding=UTF8&sslnegotiation=postgres",
      )
      assert.deepInclude(parameters, {
        applicationName: "a+b",
        startupOptions: "-c geqo=off",
        connectTimeout: Duration.seconds(3),
        keepAlive: Duration.seconds(30),
        target: "read-write",
        pooler: true,
      })
      assert.deepStrictEqual(warnings, [])
      const other = yield* parse("postgres://u@h/d?connect_timeout=0&keepalives=0")
      assert.deepInclude(other.parameters, { connectTimeout: Duration.infinity, target: "any" })
      assert.isUndefined(other.parameters.keepAlive)
    }))

  it.effect("warns of each parameter without effect, by name where the name is known", () =>
    Effect.gen(function* () {
      const { warnings } = yield* parse(
        "postgres://u@h/d?keepalives_count=3&schema=auth&sslnegotiation=direct&pgbouncer=yes&hunter2=1",
      )
      assert.deepStrictEqual(warnings, [
        "DATABASE_URL has keepalives_count, which has no effect here.",
        "DATABASE_URL has schema, which has no effect here.",
        "DATABASE_URL has sslnegotiation, which has no effect here.",
        "DATABASE_URL has pgbouncer, which has no effect here.",
        "DATABASE_URL has a query parameter that PostgreSQL does not know, which has no effect.",
      ])
    }))

  it.effect.each([
    "channel_binding=require",
    "gssencmode=require",
    "require_auth=scram-sha-256",
    "requirepeer=postgres",
    "service=main",
    "replication=database",
    "sslcertmode=require",
    "sslcrl=/crl.pem",
    "target_session_attrs=writable",
    "load_balance_hosts=robin",
    "sslmode=verify-ca",
    "sslmode=require&sslrootcert=system",
    "sslmode=sometimes",
    "sslmode=",
    "ssl=1",
    "ssl_min_protocol_version=SSLv3",
    "connect_timeout=soon",
    "keepalives=yes",
  ])("refuses what it cannot honour: %s", (query) =>
    Effect.gen(function* () {
      const name = query.split("&").at(-1)?.split("=")[0]
      assert.match(
        yield* messageOf(`postgres://u:hunter2@h/d?${query}`),
        new RegExp(`^DATABASE_URL has .*${name}.*\\.$`),
      )
    }))

  it.effect.each([
    "",
    "hunter2",
    "host=h user=u password=hunter2",
    "mysql://u:hunter2@h/d",
    "postgres:/u:hunter2@h/d",
    "postgres://u:hunter2%@h/d",
    "postgres://u:hunter2%zz@h/d",
    "postgres://u:hunter2%00@h/d",
    "postgres://u:hunter2%ff@h/d",
    "postgres://u:hun@ter2@h/d",
    "postgres://u:hun/ter2@h/d",
    "postgres://u:1/hunter2@h/d",
    "postgres://u:hunter2",
    "postgres://u:hunter2@h:port/d",
    "postgres://u:hunter2@h:0/d",
    "postgres://u:hunter2@h:65536/d",
    "postgres://u:hunter2@[h]/d",
    "postgres://u:hunter2@[::1/d",
    "postgres://u:hunter2@::1/d",
    "postgres://u:hunter2@h h/d",
    "postgres://u:hunter2@%40abstract/d",
    "postgres://u:hunter2@h1,h 2/d",
    "postgres://u:hunter2@h1:1,h2:port/d",
    "postgres://u:hunter2@h1:1,h2:2,h3:/d?port=1,2",
    "postgres://u:hunter2@h1,h2/d?hostaddr=10.0.0.1",
    "postgres://u@h/d?password=hunter2&host=h1,%40h2",
    "postgres://:hunter2@h/d",
    "postgres://h/d?password=hunter2",
    "postgres://u@h/d?hunter2",
    "postgres://u@h/d?=hunter2",
    " postgres://u:hunter2@h/d",
    "postgres://u:hunter2@h/d\n",
    "postgres://u:hun\tter2@h/d",
    '"postgres://u:hunter2@h/d"',
  ])("refuses %j in one sentence without its password", (url) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(parse(url))
      assert.match(error.message, /^DATABASE_URL (has|must|names) [^\n]*[^.]\.$/)
      assert.notMatch(`${error.message}${JSON.stringify(error)}`, /hun|ter2/)
    }))

  it.effect("names the variable that it was asked to name", () =>
    Effect.gen(function* () {
      assert.match(yield* messageOf("", { variable: "TEST_DATABASE_URL" }), /^TEST_DATABASE_URL /)
    }))

  it.effect("names the file and what names it, where that is no certificate", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* fs.makeTempFileScoped()
      assert.strictEqual(
        yield* messageOf("postgres://u@h/d", { caFile: path }),
        `DATABASE_CA_FILE names ${path}, which holds no certificate in PEM form.`,
      )
      assert.strictEqual(
        yield* messageOf("postgres://u@h/d?sslcert=/none&sslkey=/none"),
        "DATABASE_URL's sslcert names /none, which cannot be read (NotFound).",
      )
    }))

  it.effect("refuses two root certificates", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* messageOf("postgres://u@h/d?sslrootcert=/a", { caFile: "/b" }),
        "DATABASE_URL has sslrootcert while DATABASE_CA_FILE is set too; keep one of them.",
      )
    }))
})
