/**
 * Times by name, far enough apart that a run is over before one becomes another.
 */
import { DateTime } from "effect"

const start = DateTime.nowUnsafe()

/** How many minutes each lies in the past. */
const ages = {
  "in a year": -525_600,
  "in a month": -43_200,
  "now": 0,
  "an hour ago": 60,
  "10 days ago": 14_400,
  "100 days ago": 144_000,
} as const
export type Instant = keyof typeof ages

export const isPast = (instant: Instant) => ages[instant] > 0

export const isOlderThan = (instant: Instant, days: number) => ages[instant] > days * 1_440

export const isWithin = (instant: Instant, minutes: number) => ages[instant] <= minutes

/** The earlier of two times; null is no time. */
export const earlier = (a: Instant, b: Instant | null) => b === null || ages[a] > ages[b] ? a : b

export const later = (a: Instant, b: Instant) => ages[a] < ages[b] ? a : b

export const toDateTime = (instant: Instant) => DateTime.subtract(start, { minutes: ages[instant] })

/** The name of a time that {@link toDateTime} gave; any other was the present when it was written. */
export const fromDateTime = (time: DateTime.DateTime): Instant =>
  (["in a year", "in a month", "an hour ago", "10 days ago", "100 days ago"] as const)
    .find((instant) => DateTime.Equivalence(toDateTime(instant), time)) ?? "now"

/** The same for a time that need not be there. */
export const fromNullable = (time: DateTime.DateTime | null) =>
  time === null ? null : fromDateTime(time)

export const toNullable = (instant: Instant | null) => instant === null ? null : toDateTime(instant)
