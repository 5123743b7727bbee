/** The PostgreSQL that all contestants use, and the benchmark's own connection to it. */
import { NodeServices } from "@effect/platform-node"
import { Context, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import * as Client from "../src/database/Database.ts"
import * as DatabaseUrl from "../src/database/url/DatabaseUrl.ts"
import type { EmbeddedPostgresOptions } from "../src/embedded/EmbeddedPostgres.ts"
import { Migrator } from "../src/migrator/Migrator.ts"
import { startOverTcp } from "../test/support/overTcp.ts"
import { cache } from "./contestants.ts"
import { Failure } from "./Failure.ts"

const variable = "BENCH_DATABASE_URL"

const failure = (what: string) => (cause: unknown) =>
  new Failure({ message: `${what}: ${cause instanceof Error ? cause.message : cause}` })

/** A client of its own, because vacuums and fills take longer than statements of the service may. */
const client = (url: URL) =>
  Layer.unwrap(Effect.gen(function* () {
    const { parameters } = yield* DatabaseUrl.parse(Redacted.make(url.href), { variable })
    return Client.layer({ connection: parameters, maxConnections: 1 })
  })).pipe(Layer.provide(NodeServices.layer), (layer) => Layer.fresh(layer))

/** Runs statements one after the other on a database. */
export const runOn = (url: URL, statements: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* Effect.forEach(statements, (statement) => sql.unsafe(statement))
  }).pipe(
    Effect.provide(client(url)),
    Effect.mapError(failure("The database refused a statement")),
  )

/** Drops what earlier runs have left behind that were killed. */
const dropLeftovers = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const left = yield* sql<{ readonly datname: string }>`
    SELECT datname FROM pg_database WHERE datname LIKE 'bench\\_%'`
  yield* Effect.forEach(left, ({ datname }) => sql.unsafe(`DROP DATABASE ${datname} WITH (FORCE)`))
})

/** A durable server that nobody else uses, at a port: not all contestants speak to a socket. */
export const embedded = ({ dataDir = `${cache}/postgres`, settings }: {
  readonly dataDir?: string
  readonly settings: NonNullable<EmbeddedPostgresOptions["settings"]>
}) =>
  Effect.gen(function* () {
    const { username, password, host, port, database } = yield* startOverTcp({
      dataDir,
      durable: true,
      settings: { max_connections: 200, ...settings },
    })
    const url = new URL(
      `postgres://${username}:${Redacted.value(password)}@${host}:${port}/${database}`,
    )
    yield* Effect.provide(dropLeftovers, client(url))
    return url
  }).pipe(Effect.mapError(failure("PostgreSQL does not start")))

/** A part of the machine's memory, as PostgreSQL's `shared_buffers` wants it. */
export const partOfMemory = (part: number): string =>
  `${Math.floor(Deno.systemMemoryInfo().total * part / 1024 ** 2)}MB`

/**
 * The embedded server, unless a variable names one. With a quarter of the memory as `shared_buffers`,
 * as PostgreSQL's manual recommends (19.4.1): the tables have no room in its default of 128 MB, and a
 * contestant would be charged for the pages that others have left there to be written.
 */
const server = Effect.suspend(() => {
  const given = Deno.env.get(variable)
  return given === undefined
    ? embedded({ settings: { shared_buffers: partOfMemory(1 / 4) } })
    : Effect.succeed(new URL(given))
})

export class Database extends Context.Service<Database, {
  readonly url: URL
  readonly version: string
  /** Those that decide whether a commit survives a crash, and what it costs to find a page. */
  readonly settings: string
  readonly run: (statements: ReadonlyArray<string>) => Effect.Effect<void, Failure>
  readonly query: <A extends object>(
    statement: string,
  ) => Effect.Effect<ReadonlyArray<A>, Failure>
}>()("latchkey/bench/Database") {
  /** A new, migrated database of a server, dropped when the scope closes. */
  static readonly make = Effect.fnUntraced(function* (maintenance: URL) {
    const name = `bench_${crypto.randomUUID().slice(0, 8)}`
    yield* Effect.acquireRelease(
      runOn(maintenance, [`CREATE DATABASE ${name}`]),
      () => Effect.ignore(runOn(maintenance, [`DROP DATABASE ${name} WITH (FORCE)`])),
    )
    const url = new URL(maintenance)
    url.pathname = name
    // Peers differ in what they try first.
    url.searchParams.set("sslmode", "disable")
    const services = yield* Layer.build(
      Layer.fresh(Layer.provideMerge(Migrator.layer, client(url))),
    ).pipe(Effect.mapError(failure("The new database cannot be reached")))
    yield* Context.get(services, Migrator).up().pipe(
      Effect.mapError(failure("The new database cannot be migrated")),
    )
    const sql = Context.get(services, SqlClient.SqlClient)
    const query = <A extends object>(statement: string) =>
      sql.unsafe<A>(statement).pipe(Effect.mapError(failure("A query failed")))
    const setting = (name: string) =>
      query<{ readonly value: string | null }>(
        `SELECT current_setting('${name}', true) AS value`,
      ).pipe(Effect.map(([row]) => row?.value ?? "unknown"))
    const settings = [
      "fsync",
      "synchronous_commit",
      "full_page_writes",
      "shared_buffers",
      "huge_pages_status",
    ]
    return Database.of({
      url,
      version: yield* setting("server_version"),
      settings: (yield* Effect.forEach(
        settings,
        (name) => Effect.map(setting(name), (value) => `${name} ${value}`),
      )).join(", "),
      run: (statements) => Effect.forEach(statements, query, { discard: true }),
      query,
    })
  })

  /** A database on the server that the benchmark uses. */
  static readonly layer = Layer.effect(Database, Effect.flatMap(server, Database.make))
}
