/**
 * What the doctor has to say: findings, and what they come to.
 */
import { Schema } from "effect"

/** What is looked at together, in this order. */
export const groups = [
  "environment",
  "connection",
  "server",
  "schema",
  "tables",
] as const
export type Group = (typeof groups)[number]

export const Severity = Schema.Literals(["ok", "warning", "error", "skipped"])
export type Severity = typeof Severity.Type

/** One thing that was looked at. Its properties are stable: `--json` prints them. */
export class Finding extends Schema.Class<Finding>("Finding")({
  group: Schema.Literals(groups),
  /** What was looked at, the same in every run: `migrations`. */
  name: Schema.String,
  severity: Severity,
  /** What was seen, in a sentence or two. No password and no key. */
  seen: Schema.String,
  /** What to do; null where nothing is to be done. */
  advice: Schema.NullOr(Schema.String),
}) {}

/** A finding without its place. */
export interface Seen {
  readonly severity: Severity
  readonly seen: string
  readonly advice: string | null
}

/** It is as it should be. */
export const ok = (seen: string): Seen => ({ severity: "ok", seen, advice: null })

/** The service works, but not as well, as safely or as long as it could. */
export const warning = (seen: string, advice: string): Seen => ({
  severity: "warning",
  seen,
  advice,
})

/** The service does not work, loses what was stored, or soon will. */
export const error = (seen: string, advice: string): Seen => ({ severity: "error", seen, advice })

/** It could not be looked at, for a reason that is no fault by itself. */
export const skipped = (seen: string, advice: string | null = null): Seen => ({
  severity: "skipped",
  seen,
  advice,
})

/** How many findings there are of each severity. */
export const summaryOf = (findings: ReadonlyArray<Finding>) => {
  const count = (severity: Severity) =>
    findings.filter((finding) => finding.severity === severity).length
  return {
    ok: count("ok"),
    warning: count("warning"),
    error: count("error"),
    skipped: count("skipped"),
  }
}
