/** The command line of the server. None of it is secret: anybody on the machine can read it. */
import { accessFiles } from "./Cluster.ts"
import type { DataDir } from "./DataDir.ts"

/** What names the socket; nothing listens at a port. */
export const defaultPort = 5432

/** By the names of PostgreSQL's parameters. */
export type ServerSettings = Readonly<Record<string, string | number>>

/**
 * What differs from PostgreSQL's defaults.
 *
 * @param listenIn the directory of its socket
 */
export const serverSettings = (
  dataDir: DataDir,
  listenIn: string,
  durable: boolean,
): ServerSettings => ({
  listen_addresses: "",
  port: defaultPort,
  // A list, in which names may be quoted.
  unix_socket_directories: `"${listenIn.replaceAll('"', '""')}"`,
  unix_socket_permissions: "0700",
  ...accessFiles(dataDir),
  timezone: "UTC",
  log_timezone: "UTC",
  // The details of a violated constraint quote the row, password hashes included.
  log_error_verbosity: "terse",
  log_min_error_statement: "panic",
  ...(durable ? {} : { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
})

export const serverArguments = ({ cluster }: DataDir, settings: ServerSettings) => [
  "-D",
  cluster,
  ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
]
