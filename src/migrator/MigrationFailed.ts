/**
 * A migration that PostgreSQL refused.
 */
import { Schema } from "effect"
import type { MigrationFile } from "./MigrationFile.ts"
import type { PostgresFailure } from "./PostgresFailure.ts"

export class MigrationFailed extends Schema.TaggedError<MigrationFailed>()("MigrationFailed", {
  file: Schema.String,
  /** Line of the failing statement or of the place in it; null where it can't be told. */
  line: Schema.NullOr(Schema.Int),
  sqlState: Schema.String,
  /** PostgreSQL's own words. */
  reason: Schema.String,
  /** What is left in the database, and what to do. */
  next: Schema.String,
}) {
  override get message() {
    const place = this.line === null ? this.file : `${this.file}:${this.line}`
    return `migrations/${place}: ${this.reason}. ${this.next}`
  }

  static of(file: MigrationFile, line: number | null, failure: PostgresFailure, next: string) {
    return new MigrationFailed({
      file: file.file,
      line,
      sqlState: failure.code,
      reason: failure.words,
      next,
    })
  }
}

/** SQLSTATEs that waiting may cure: `lock_timeout` ran out, or a deadlock was broken. */
export const isLockFailure = (sqlState: string) => sqlState === "55P03" || sqlState === "40P01"
