/** The command line of the server. None of it is secret: anybody on the machine can read it. */
import type { DataDir } from "./DataDir.ts"

export interface ServerSettings {
  readonly durable: boolean
  readonly maxConnections: number
  /** What the server caches rows in, as PostgreSQL writes sizes: `128MB`. */
  readonly sharedBuffers: string
}

/** The loopback interface: no other machine can reach the server. */
export const host = "127.0.0.1"

/** What differs from PostgreSQL's defaults. */
export const serverArguments = (dataDir: DataDir, settings: ServerSettings, port: number) => {
  const parameters = {
    listen_addresses: host,
    port,
    unix_socket_directories: "",
    max_connections: settings.maxConnections,
    shared_buffers: settings.sharedBuffers,
    timezone: "UTC",
    log_timezone: "UTC",
    // The details of a violated constraint quote the row, password hashes included.
    log_error_verbosity: "terse",
    log_min_error_statement: "panic",
    ...(settings.durable
      ? {}
      : { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
  }
  return [
    "-D",
    dataDir.cluster,
    ...Object.entries(parameters).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ]
}
