/**
 * Log entries about outages of the database: one when statements begin to fail, some while it lasts, one
 * when they succeed again; never one for each statement.
 */
import { type Clock, Effect } from "effect"
import type { SqlError } from "effect/sql"
import { codeOf } from "./Constraints.ts"
import { unfitnessesOf } from "./servers/refusals.ts"

/**
 * SQLSTATEs and classes that a database answers with which is not to be used for now: no connection, no
 * resources, its end or its start, a failing disk, a server that is read-only, a role or database that
 * is not let in.
 */
const outages = ["08", "25006", "28", "3D000", "53", "57P", "58"]

/** The time between two entries about an outage that lasts, at first and at most, in milliseconds. */
const intervals = { first: 1_000, longest: 60_000 }

/**
 * Milliseconds in which another failure belongs to the same outage: where reads succeed and writes fail,
 * it would otherwise begin and end with each of them.
 */
const settling = 10_000

interface Outage {
  readonly since: number
  readonly codes: Set<string>
  statements: number
  lastFailure: number
  nextEntry: number
  interval: number
  /** Whether statements have succeeded in its midst. */
  isPartial: boolean
}

/** How an outage is called: the SQLSTATE or the system's code, or what the server is; none if it is none. */
const nameOf = (error: SqlError.SqlError): string | undefined => {
  const code = codeOf(error)
  if (code !== null && outages.some((prefix) => code.startsWith(prefix))) return code
  const [unfit] = unfitnessesOf(error)
  // A session or a server that is wrong for good is told as what it is.
  if (unfit !== undefined && unfit.reason !== "standby") return undefined
  if (error.reason._tag === "AuthenticationError") return code ?? "authentication"
  if (error.reason._tag !== "ConnectionError") return undefined
  return code ?? (unfit === undefined ? "no connection" : "no server that is wanted")
}

const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`

const inWords = (statements: number) =>
  statements === 1 ? "1 statement" : `${statements} statements`

export class Outages {
  /** A success is news while there is one. A field, since every statement looks at it. */
  ongoing: Outage | undefined
  private last: { readonly outage: Outage; readonly endedAt: number } | undefined

  constructor(private readonly clock: Clock.Clock) {}

  /** A statement has failed, or could not be sent for want of a connection. */
  failed(error: SqlError.SqlError): Effect.Effect<void> {
    const name = nameOf(error)
    if (name === undefined) return Effect.void
    const now = this.clock.currentTimeMillisUnsafe()
    const known = this.ongoing ?? this.again(now)
    const outage = this.ongoing = known ?? {
      since: now,
      codes: new Set<string>(),
      statements: 0,
      lastFailure: now,
      nextEntry: now + intervals.first,
      interval: intervals.first,
      isPartial: false,
    }
    outage.codes.add(name)
    outage.statements++
    outage.lastFailure = now
    if (known === undefined) {
      return Effect.logWarning(`Statements fail for an outage of the database (${name})`)
    }
    if (now < outage.nextEntry) return Effect.void
    outage.interval = Math.min(2 * outage.interval, intervals.longest)
    outage.nextEntry = now + outage.interval
    return Effect.logWarning(
      `Statements still fail for an outage of the database (${name}): ` +
        `${inWords(outage.statements)} in ${seconds(now - outage.since)}`,
    )
  }

  /** A statement has succeeded. */
  get succeeded(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const outage = this.ongoing
      if (outage === undefined) return Effect.void
      const now = this.clock.currentTimeMillisUnsafe()
      if (outage.isPartial && now - outage.lastFailure < settling) return Effect.void
      this.ongoing = undefined
      this.last = { outage, endedAt: now }
      const lasted = (outage.isPartial ? outage.lastFailure : now) - outage.since
      return Effect.logInfo(
        `Statements succeed again after an outage of the database of ${seconds(lasted)} ` +
          `(${[...outage.codes].join(", ")}), which ${inWords(outage.statements)} failed for`,
      )
    })
  }

  /** The outage before, where it is not over after all. */
  private again(now: number): Outage | undefined {
    if (this.last === undefined || now - this.last.endedAt >= settling) return undefined
    const { outage } = this.last
    outage.isPartial = true
    return outage
  }
}
