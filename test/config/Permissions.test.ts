import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { permissions, toReport } from "../../src/config/Permissions.ts"
import { load } from "../../src/config/Settings.ts"

const keys = JSON.stringify([{ name: "a", sha256: "a".repeat(64), scopes: ["*"] }])

/** The code, the migrations, and what names the commit of a clone. */
const ownFiles = "migrations,src,deno.json,.git/HEAD,.git/packed-refs,.git/refs"

/** What is allowed besides reading variables, as lists by kind. */
const allowed = Effect.fnUntraced(function* (
  environment: Record<string, string>,
  namedFiles: ReadonlyArray<string> = [],
) {
  const settings = yield* load(
    ConfigProvider.fromEnvRecord({ API_KEYS: keys, ...environment }),
  )
  const { flags, problems } = permissions(settings, { namedFiles, addressesOfHost: [] })
  const lists = flags.map((flag) => flag.replace("--allow-", "").split("="))
  const { env: _, ...others } = Object.fromEntries(lists)
  return { ...others, problems }
})

const url = "postgres://u:hunter2@db.example:6543/d"

layer(NodeServices.layer)("permissions", (it) => {
  it.effect("let it listen, reach its database, and read the migrations and itself; nothing else", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* allowed({ DATABASE_URL: url }), {
        net: "127.0.0.1:8080,db.example:6543",
        read: ownFiles,
        problems: [],
      })
    }))

  it.effect.each(
    [
      [{ HOST: "::", PORT: "0" }, "[::],db.example:6543"],
      [{ DATABASE_URL: "postgres://u@[::1]/d" }, "127.0.0.1:8080,[::1]:5432"],
      [
        { DATABASE_READ_URL: "postgres://u@a.example,b.example:1/d" },
        "127.0.0.1:8080,db.example:6543,a.example:5432,b.example:1",
      ],
      [
        { OTEL_EXPORTER_OTLP_ENDPOINT: "https://otel.example/v1" },
        "127.0.0.1:8080,db.example:6543,otel.example:443",
      ],
      [
        { OTEL_EXPORTER_OTLP_ENDPOINT: "http://[::1]:4318" },
        "127.0.0.1:8080,db.example:6543,[::1]:4318",
      ],
      [
        {
          OTEL_EXPORTER_OTLP_ENDPOINT: "http://all.example",
          OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://traces.example/here",
          OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: "http://logs.example:1",
          OTEL_LOGS_EXPORTER: "none",
        },
        "127.0.0.1:8080,db.example:6543,traces.example:443,all.example:80",
      ],
    ] as const,
  )("name addresses as Deno does: %j", ([environment, net]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* allowed({ DATABASE_URL: url, ...environment })).net, net)
    }))

  it.effect("let it listen on what its name stands for", () =>
    Effect.gen(function* () {
      const settings = yield* load(ConfigProvider.fromEnvRecord({
        API_KEYS: keys,
        DATABASE_URL: url,
        HOST: "localhost",
      }))
      assert.include(
        permissions(settings, { namedFiles: [], addressesOfHost: ["127.0.0.1", "::1"] }).flags,
        "--allow-net=localhost:8080,127.0.0.1:8080,[::1]:8080,db.example:6543",
      )
    }))

  it.effect("let it use a Unix socket", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* allowed({ DATABASE_URL: "postgres://u@/d?host=/run/pg" }), {
        net: "127.0.0.1:8080,unix:/run/pg/.s.PGSQL.5432",
        read: `${ownFiles},/run/pg/.s.PGSQL.5432`,
        write: "/run/pg/.s.PGSQL.5432",
        problems: [],
      })
    }))

  it.effect("let it reach each of several servers, by whatever", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* allowed({
          DATABASE_URL: "postgres://u@a:1,[::1],b/d?host=a,::1,/run/pg&port=1,2,3",
        }),
        {
          net: "127.0.0.1:8080,a:1,[::1]:2,unix:/run/pg/.s.PGSQL.3",
          read: `${ownFiles},/run/pg/.s.PGSQL.3`,
          write: "/run/pg/.s.PGSQL.3",
          problems: [],
        },
      )
    }))

  it.effect("let it keep a development key where it has no others", () =>
    Effect.gen(function* () {
      const settings = yield* load(ConfigProvider.fromEnvRecord({ DATABASE_URL: url }))
      assert.includeMembers([
        ...permissions(settings, { namedFiles: [], addressesOfHost: [] }).flags,
      ], [
        `--allow-read=${ownFiles},.data`,
        "--allow-write=.data",
        "--allow-sys=uid",
      ])
    }))

  it.effect("let it read the files that are named, but for those that no flag can name", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* allowed({ DATABASE_URL: url }, ["/run/secrets/url", "/a b", "/c,d", "/e*"]),
        {
          net: "127.0.0.1:8080,db.example:6543",
          read: `${ownFiles},/run/secrets/url`,
          problems: ["/a b", "/c,d", "/e*"].map((path) =>
            `The sandbox cannot let ${path} be used; name a path without blanks, commas and *?[.`
          ),
        },
      )
    }))

  it("let it read everything and reach nothing where the environment is wrong", () => {
    assert.match(
      toReport.join(" "),
      /^--allow-env=HOST,PORT,\S*,DATABASE_URL_FILE,\S* --allow-read$/,
    )
  })
})
