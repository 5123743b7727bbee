/**
 * An embedded database as it is found, for who only looks: makes nothing and takes no lock.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Option } from "effect"
import type { ConnectionParameters } from "../database/ConnectionParameters.ts"
import { roleAndDatabase } from "./Cluster.ts"
import { defaultPort } from "./serverArguments.ts"
import * as ServerSocket from "./ServerSocket.ts"

/** Whether there is a database under `DATA_DIR`, running or not; false where that cannot be seen. */
export const exists = (dataDir: string): Effect.Effect<boolean> =>
  FileSystem.FileSystem.use((fs) => fs.exists(`${dataDir}/postgres/cluster/PG_VERSION`)).pipe(
    Effect.orElseSucceed(() => false),
    Effect.provide(NodeServices.layer),
  )

/** How to connect to the server that a service runs under `DATA_DIR`; none where it cannot be found. */
export const connectionOfRunning = (
  dataDir: string,
): Effect.Effect<Option.Option<ConnectionParameters>> =>
  ServerSocket.ofRunning(dataDir).pipe(
    Effect.orElseSucceed(() => Option.none<string>()),
    Effect.map(Option.map((host) => ({
      host,
      port: defaultPort,
      database: roleAndDatabase,
      username: roleAndDatabase,
    }))),
    Effect.provide(NodeServices.layer),
  )
