/**
 * The three tables as the model has them.
 */
import { Predicate } from "effect"
import type { Instant } from "./Instant.ts"
import type { Operation } from "./Operation.ts"
import type { NewAttempt, NewToken, NewUser } from "./values.ts"

/** What a row is known by before anybody asked for it. */
interface Row {
  readonly id: string
  /** What the request that created the row sent; null without an idempotency key. */
  readonly fingerprint: string | null
}

export interface UserRow extends NewUser, Row {
  readonly createdAt: string
  readonly version: string
}

export interface TokenRow extends NewToken, Row {
  readonly createdAt: string
  readonly sessionId: string
  /** When the session began. */
  readonly signedInAt: string
  readonly revokedAt: Instant | null
  readonly revokedReason: string | null
  readonly successorId: string | null
  /** Further successors of the token that this one is the first successor of. */
  readonly siblingIds: ReadonlyArray<string>
}

export interface AttemptRow extends NewAttempt, Row {
  readonly attemptedAt: Instant
}

/** A place in a list. */
export interface Place {
  readonly createdAt: string
  readonly id: string
}

export interface Tables {
  readonly users: ReadonlyArray<UserRow>
  readonly tokens: ReadonlyArray<TokenRow>
  readonly attempts: ReadonlyArray<AttemptRow>
  /** Ids and versions of rows of now and before. */
  readonly generated: ReadonlyArray<string>
  /** Where the last list went on. */
  readonly next: Place | null
}

export const empty: Tables = { users: [], tokens: [], attempts: [], generated: [], next: null }

/** An operation with what it takes from what its caller has seen. */
export interface Call {
  readonly operation: Operation
  readonly ifVersion: ReadonlyArray<string> | undefined
  readonly userVersion: string | null
  /** The session that is meant, or that is spared. */
  readonly sessionId: string | null
  readonly after: Place | null
}

/** What was answered, without what nobody can foretell. */
export type Answer = unknown

export interface Step {
  readonly tables: Tables
  readonly answer: Answer
}

export const failure = (tables: Tables, error: string, details: object = {}): Step => ({
  tables,
  answer: { error, ...details },
})

/**
 * What the database generated, as the answer tells it. A value that it gave before is not what was
 * expected.
 */
export const generated = (
  tables: Tables,
  answer: Answer,
  name: "id" | "createdAt" | "version",
): string => {
  const value = Predicate.hasProperty(answer, name) ? answer[name] : undefined
  return Predicate.isString(value) && !tables.generated.includes(value) ? value : `a new ${name}`
}

/** The part of a list after a place, in the order of time and id. */
export const pageOf = <A extends Place>(
  tables: Tables,
  rows: ReadonlyArray<A>,
  { after, limit, toJson }: {
    readonly after: Place | null
    readonly limit: number
    readonly toJson: (row: A) => unknown
  },
): Step => {
  const orderOf = ({ createdAt, id }: Place) => `${createdAt} ${id}`
  const rest = rows
    .filter((row) => after === null || orderOf(row) > orderOf(after))
    .toSorted((a, b) => orderOf(a) < orderOf(b) ? -1 : 1)
  const last = rest[limit - 1]
  const next = rest.length > limit && last !== undefined
    ? { createdAt: last.createdAt, id: last.id }
    : null
  return {
    tables: { ...tables, next },
    answer: { items: rest.slice(0, limit).map(toJson), next },
  }
}

/** The row that a request with this key created before, if it was this one. */
export const retry = <A extends Row>(
  tables: Tables,
  rows: ReadonlyArray<A>,
  { key, fingerprint, toJson }: {
    readonly key: string | null
    readonly fingerprint: string | null
    readonly toJson: (row: A) => unknown
  },
): Step | undefined => {
  const row = rows.find(({ id }) => id === key)
  if (row === undefined) return undefined
  return row.fingerprint === fingerprint
    ? { tables, answer: toJson(row) }
    : failure(tables, "IdempotencyKeyReused")
}
