import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { ByteSize, ConfigProvider, Duration, Effect, FileSystem, Option, Redacted } from "effect"
import * as Settings from "../../src/config/Settings.ts"

const load = (environment: Record<string, string>) =>
  Settings.load(ConfigProvider.fromEnvRecord(environment, { preserveEmptyStrings: true }))

const problemsOf = (environment: Record<string, string>) =>
  Effect.map(Effect.flip(load(environment)), ({ problems }) => problems)

const key = (name: string, digit = "a") => ({
  name,
  sha256: digit.repeat(64),
  scopes: ["users:read"],
})

/** Writes a file that is gone after the test, and gives its path. */
const secretFile = Effect.fnUntraced(function* (content: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* fs.makeTempFileScoped()
  yield* fs.writeFileString(path, content)
  return path
})

layer(NodeServices.layer)("Settings", (it) => {
  it.effect("has a default for everything but the database and the keys", () =>
    Effect.gen(function* () {
      const settings = yield* load({})
      assert.deepStrictEqual(settings, {
        host: "127.0.0.1",
        port: 8080,
        database: Option.none(),
        databaseRead: Option.none(),
        databasePoolSize: 10,
        threads: 1,
        rotationGrace: Duration.zero,
        rotationOnReuse: "report",
        dataDir: ".data",
        apiKeys: Option.none(),
        adminPort: Option.none(),
        accessLog: "errors",
        logLevel: "Info",
        logFormat: settings.logFormat,
        telemetry: settings.telemetry,
        shutdownTimeout: Duration.seconds(10),
        shutdownDelay: Duration.seconds(1),
        requestBodyLimit: ByteSize.kibibytes(256),
        requestHeaderLimit: ByteSize.kibibytes(16),
        maxConnections: 10_000,
        maxRequestsInFlight: 512,
        statementTimeout: Duration.seconds(5),
        lockTimeout: Duration.seconds(2),
        idleInTransactionTimeout: Duration.seconds(10),
        answerTimeout: Duration.seconds(15),
        requestTimeout: Duration.seconds(10),
        responseTimeout: Duration.seconds(30),
        keepAliveTimeout: Duration.seconds(65),
        retentionInterval: Option.none(),
        retentionTokenDays: 7,
        retentionAttemptDays: 90,
        startTimeout: Duration.seconds(10),
      })
    }))

  it.effect.each(
    [
      ["host", "HOST", "::1", "::1"],
      ["host", "HOST", "0.0.0.0", "0.0.0.0"],
      ["port", "PORT", "0", 0],
      ["port", "PORT", "65535", 65535],
      ["databasePoolSize", "DATABASE_POOL_SIZE", "1", 1],
      ["dataDir", "DATA_DIR", "/var/lib/a b", "/var/lib/a b"],
      ["logLevel", "LOG_LEVEL", "debug", "Debug"],
      ["logLevel", "LOG_LEVEL", "Warn", "Warn"],
      ["logLevel", "LOG_LEVEL", "NONE", "None"],
      ["logFormat", "LOG_FORMAT", "logfmt", "logfmt"],
      ["shutdownTimeout", "SHUTDOWN_TIMEOUT", "10s", Duration.seconds(10)],
      ["shutdownTimeout", "SHUTDOWN_TIMEOUT", "1 second", Duration.seconds(1)],
      ["lockTimeout", "LOCK_TIMEOUT", "500ms", Duration.millis(500)],
      ["lockTimeout", "LOCK_TIMEOUT", "500 millis", Duration.millis(500)],
      ["requestTimeout", "REQUEST_TIMEOUT", "2 minutes", Duration.minutes(2)],
      ["keepAliveTimeout", "KEEP_ALIVE_TIMEOUT", "1h", Duration.hours(1)],
      ["requestBodyLimit", "REQUEST_BODY_LIMIT", "1 MB", ByteSize.megabytes(1)],
      ["requestBodyLimit", "REQUEST_BODY_LIMIT", "1MiB", ByteSize.mebibytes(1)],
      ["requestBodyLimit", "REQUEST_BODY_LIMIT", "1000", ByteSize.bytes(1000)],
      ["rotationGrace", "ROTATION_GRACE", "0s", Duration.zero],
      ["rotationGrace", "ROTATION_GRACE", "30s", Duration.seconds(30)],
      ["rotationGrace", "ROTATION_GRACE", "1 minute", Duration.seconds(60)],
      ["rotationGrace", "ROTATION_GRACE", "2000ms", Duration.seconds(2)],
      ["rotationOnReuse", "ROTATION_ON_REUSE", "report", "report"],
      ["rotationOnReuse", "ROTATION_ON_REUSE", "revoke-session", "revoke-session"],
    ] as const,
  )("takes %s from %s=%s", ([setting, name, text, value]) =>
    Effect.gen(function* () {
      const settings = yield* load({ [name]: text })
      assert.deepStrictEqual<unknown>(settings[setting], value)
    }))

  it.effect.each(
    [
      ["PORT", "65536"],
      ["PORT", "-1"],
      ["PORT", "8080.0"],
      ["PORT", "0x50"],
      ["PORT", " 80"],
      ["HOST", "[::1]"],
      ["HOST", "localhost:80"],
      ["DATABASE_POOL_SIZE", "0"],
      ["DATABASE_POOL_SIZE", "ten"],
      ["LOG_LEVEL", "verbose"],
      ["LOG_FORMAT", "JSON5"],
      ["OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"],
      ["SHUTDOWN_TIMEOUT", "10"],
      ["SHUTDOWN_TIMEOUT", "0s"],
      ["SHUTDOWN_TIMEOUT", "-1s"],
      ["STATEMENT_TIMEOUT", "25 days"],
      ["STATEMENT_TIMEOUT", "577h"],
      ["REQUEST_BODY_LIMIT", "0"],
      ["REQUEST_BODY_LIMIT", "2 GiB"],
      ["REQUEST_BODY_LIMIT", "much"],
      ["MAX_REQUESTS_IN_FLIGHT", "1e3"],
      ["ROTATION_GRACE", "30"],
      ["ROTATION_GRACE", "61s"],
      ["ROTATION_GRACE", "1500ms"],
      ["ROTATION_GRACE", "-1s"],
      ["ROTATION_ON_REUSE", "punish"],
      ["API_KEYS", "[]"],
      ["API_KEYS", "{"],
      ["API_KEYS", JSON.stringify([{ ...key("a"), scopes: ["users:rule"] }])],
      ["API_KEYS", JSON.stringify([{ ...key("a"), scope: [] }])],
      ["API_KEYS", JSON.stringify([key("a"), key("a", "A")])],
      ["DATABASE_URL", "mysql://u:secret@h/d"],
    ] as const,
  )(
    "refuses %s=%s in one sentence that names it and not its value",
    ([name, text]) =>
      Effect.gen(function* () {
        const [problem = "", ...others] = yield* problemsOf({ [name]: text })
        assert.deepStrictEqual(others, [])
        assert.match(problem, new RegExp(`^${name} must .*[^.]\\.$`))
        assert.isFalse(text.length > 4 && problem.includes(text), problem)
        assert.notInclude(problem, "secret")
      }),
  )

  it.effect("shows the form of a time that has no unit", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* problemsOf({ SHUTDOWN_TIMEOUT: "10" }), [
        "SHUTDOWN_TIMEOUT must be a time with its unit, such as 10s, 500ms or 2 minutes, " +
        "up to 24 days.",
      ])
    }))

  it.effect.each(["PORT", "DATA_DIR", "DATABASE_URL", "DATABASE_URL_FILE", "API_KEYS_FILE"])(
    "refuses an empty %s",
    (name) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* problemsOf({ [name]: "" }), [
          `${name} is set but empty; give it a value or unset it.`,
        ])
      }),
  )

  it.effect("reports everything that is wrong, each once", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(load({
        PORT: "http",
        LOG_LEVEL: "",
        DATABASE_URL: "postgres://h/d",
        API_KEYS: "secret",
      }))
      assert.deepStrictEqual(error.problems.map((problem) => problem.split(" ")[0]), [
        "DATABASE_URL",
        "PORT",
        "API_KEYS",
        "LOG_LEVEL",
      ])
      assert.strictEqual(error.message.split("\n").length, 4)
      assert.notInclude(error.message, "secret")
    }))

  it.effect.each(
    [
      ["{", "it is not valid JSON"],
      ["{}", "it is not a list"],
      ["[]", "the list is empty"],
      ['["a"]', "entry 1: it is not an object"],
      [[key("a"), { ...key("b"), sha256: "abc" }], "entry 2: sha256 is not 64 hexadecimal digits"],
      [[{ ...key("a"), name: "" }], "entry 1: name is not a text of 1 to 100 characters"],
      [[{ name: "a", scopes: [] }], "entry 1: sha256 is missing"],
      [[{ ...key("a"), scopes: "users:read" }], "entry 1: scopes is not a list"],
      [
        [key("a"), { ...key("b"), scopes: ["users:read", "user:read"] }],
        'entry 2: scope "user:read" is not one of users:read, users:write, credentials:read, ' +
        "tokens:read, tokens:write, attempts:read, attempts:write, maintenance, *",
      ],
      [[{ ...key("a"), scope: [] }], 'entry 1: "scope" is not one of name, sha256, scopes'],
      [[key("a"), key("b"), key("a", "A")], "entries 1 and 3 have the same name and sha256"],
    ] as const,
  )(
    "says what is wrong with API_KEYS=%j, and in which entry",
    ([keys, expected]) =>
      Effect.gen(function* () {
        const text = typeof keys === "string" ? keys : JSON.stringify(keys)
        const [own = ""] = yield* problemsOf({ API_KEYS: text })
        assert.match(own, /^API_KEYS must be a JSON list of at least one key, /)
        assert.strictEqual(own.slice(own.lastIndexOf("; ") + 2), `${expected}.`)
        const path = yield* secretFile(text)
        const [ofFile = ""] = yield* problemsOf({ API_KEYS_FILE: path })
        assert.strictEqual(
          ofFile,
          own.replace("API_KEYS must be", `API_KEYS_FILE names ${path}, which must hold`),
        )
      }),
  )

  it.effect.each(
    [
      [{ ...key("a"), scopes: ["hunter2-hunter2"] }],
      [{ ...key("a"), scopes: ["userhunter2"] }],
      [{ ...key("a"), hunter2: [] }],
      [{ ...key("a"), name: ["hunter2"] }],
      [{ ...key("a"), sha256: "hunter2" }],
      ["hunter2"],
    ],
  )("says nothing of what may be a secret: API_KEYS=%j", (keys) =>
    Effect.gen(function* () {
      const [problem = ""] = yield* problemsOf({ API_KEYS: JSON.stringify(keys) })
      assert.match(problem, /; entry 1: .+\.$/)
      assert.notInclude(problem, "hunter2")
    }))

  it.effect("lets two keys of one name stand side by side", () =>
    Effect.gen(function* () {
      const keys = [key("a"), key("a", "b")]
      const settings = yield* load({ API_KEYS: JSON.stringify(keys) })
      assert.deepStrictEqual(
        Option.getOrThrow(settings.apiKeys).map(({ sha256 }) => sha256[0]),
        ["a", "b"],
      )
    }))

  it.effect.each(["", "\n", "\r\n"])(
    "takes a line end of a secret file off: %j",
    (lineEnd) =>
      Effect.gen(function* () {
        const path = yield* secretFile(`postgres://u:secret@h/d${lineEnd}`)
        const { database } = yield* load({ DATABASE_URL_FILE: path })
        const { parameters } = Option.getOrThrow(database)
        assert.strictEqual(parameters.database, "d")
        assert(Redacted.isRedacted(parameters.password))
        assert.strictEqual(Redacted.value(parameters.password), "secret")
      }),
  )

  it.effect("takes one line end off only", () =>
    Effect.gen(function* () {
      const path = yield* secretFile("postgres://u:secret@h/d\n\n")
      const [problem] = yield* problemsOf({ DATABASE_URL_FILE: path })
      assert.match(problem, /^DATABASE_URL has blanks around it/)
    }))

  it.effect("refuses a variable together with its file", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* problemsOf({ DATABASE_URL: "postgres://u@h/d", DATABASE_URL_FILE: "/secret" }),
        ["DATABASE_URL and DATABASE_URL_FILE are both set; unset one of them."],
      )
    }))

  it.effect("names the variable and the path of a file that cannot be read", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      assert.deepStrictEqual(yield* problemsOf({ API_KEYS_FILE: `${directory}/none` }), [
        `API_KEYS_FILE names ${directory}/none, which cannot be read (NotFound).`,
      ])
      assert.deepStrictEqual(yield* problemsOf({ API_KEYS_FILE: directory }), [
        `API_KEYS_FILE names ${directory}, which cannot be read (it is a directory).`,
      ])
      assert.deepStrictEqual(yield* problemsOf({ API_KEYS_FILE: "/dev/zero" }), [
        "API_KEYS_FILE names /dev/zero, which cannot be read (it is not a file).",
      ])
    }))

  it.effect("refuses a secret file that is too large to be one, unread", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* secretFile("")
      yield* fs.truncate(path, 2 ** 40)
      assert.deepStrictEqual(yield* problemsOf({ API_KEYS_FILE: path }), [
        `API_KEYS_FILE names ${path}, which cannot be read (it is larger than 1 MiB).`,
      ])
    }))

  it.effect("refuses an empty secret file", () =>
    Effect.gen(function* () {
      const path = yield* secretFile("\n")
      assert.deepStrictEqual(yield* problemsOf({ API_KEYS_FILE: path }), [
        `API_KEYS_FILE names ${path}, which is empty.`,
      ])
    }))

  it.effect("prefers standbys for reads", () =>
    Effect.gen(function* () {
      const settings = yield* load({
        DATABASE_URL: "postgres://u@h/d",
        DATABASE_READ_URL: "postgres://u@a,b/d",
      })
      const target = Option.map(settings.databaseRead, ({ parameters }) => parameters.target)
      assert.deepStrictEqual(target, Option.some("prefer-standby"))
    }))

  it.effect.each(
    [
      [{}, /^DATABASE_READ_URL has no effect without DATABASE_URL; unset it\.$/],
      [
        { DATABASE_URL: "postgres://u@h/d", DATABASE_READ_URL: "postgres://u@a/d?pgbouncer=true" },
        /^DATABASE_READ_URL has pgbouncer=true, .*\.$/,
      ],
      [
        { DATABASE_URL: "postgres://u@h/d", DATABASE_READ_URL: "postgres://a/d" },
        /^DATABASE_READ_URL names no user; /,
      ],
    ] as const,
  )("refuses replicas that cannot be used: %j", ([environment, wanted]) =>
    Effect.gen(function* () {
      const [problem = "", ...others] = yield* problemsOf({
        DATABASE_READ_URL: "postgres://u@a/d",
        ...environment,
      })
      assert.deepStrictEqual(others, [])
      assert.match(problem, wanted)
    }))

  it.effect("refuses a certificate for the embedded database", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* problemsOf({ DATABASE_CA_FILE: "/ca.pem" }), [
        "DATABASE_CA_FILE has no effect without DATABASE_URL; unset it.",
      ])
    }))
})
