/**
 * Times by name, far enough apart that a run is over before one becomes another.
 */
import { DateTime } from "effect"

const start = DateTime.nowUnsafe()

/** How many minutes each lies in the past. */
const ages = {
  "in a year": -525_600,
  "now": 0,
  "an hour ago": 60,
  "10 days ago": 14_400,
  "100 days ago": 144_000,
} as const
export type Instant = keyof typeof ages

export const isPast = (instant: Instant) => ages[instant] > 0

export const isOlderThan = (instant: Instant, days: number) => ages[instant] > days * 1_440

export const isWithin = (instant: Instant, minutes: number) => ages[instant] <= minutes

export const toDateTime = (instant: Instant) => DateTime.subtract(start, { minutes: ages[instant] })

/** The name of a time that {@link toDateTime} gave; any other was the present when it was written. */
export const fromDateTime = (time: DateTime.DateTime): Instant =>
  (["in a year", "an hour ago", "10 days ago", "100 days ago"] as const)
    .find((instant) => DateTime.Equivalence(toDateTime(instant), time)) ?? "now"
