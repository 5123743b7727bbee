/**
 * Instants, in JSON and in rows.
 */
import { DateTime, Option, Schema, SchemaGetter } from "effect"
import { parsed } from "./parsed.ts"

/** As instants are answered, and as most are sent. */
const canonical = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

// RFC 3339, 5.6. Leap seconds are left out: neither JavaScript nor PostgreSQL can give one back.
const pattern =
  /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))$/

const earliest = Date.parse("0001-01-01T00:00:00.000Z")
const latest = Date.parse("9999-12-31T23:59:59.999Z")

/**
 * The instant that a clock shows as `text`, in canonical form, that many milliseconds ahead of UTC.
 * `Date` turns 30 February into 2 March, and 24:00 into the next day, instead of refusing them: the
 * day must stay as it was written.
 */
const instantOf = (text: string, ahead: number): Option.Option<DateTime.Utc> => {
  const clock = new Date(text)
  // Nor has an instant that is none the day that was written.
  if (clock.getUTCDate() !== Number(text.slice(8, 10))) return Option.none()
  const instant = clock.getTime() - ahead
  return instant < earliest || instant > latest
    ? Option.none()
    : Option.some(DateTime.fromDateUnsafe(ahead === 0 ? clock : new Date(instant)))
}

/** Parses an instant; digits finer than a millisecond are cut. */
const parse = (input: string): Option.Option<DateTime.Utc> => {
  if (canonical.test(input)) return instantOf(input, 0)
  const match = pattern.exec(input)
  if (match === null) return Option.none()
  const [, date, time, fraction = "", sign, hours, minutes] = match
  const offset = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * 60_000
  return instantOf(
    `${date}T${time}.${fraction.slice(0, 3).padEnd(3, "0")}Z`,
    sign === "-" ? -offset : offset,
  )
}

const digits = (length: number) =>
  Array.from({ length: 10 ** length }, (_, number) => String(number).padStart(length, "0"))

const two = digits(2)
const three = digits(3)

const millisecondsOfDay = 86_400_000

/** Texts of days since 1970. Those that are stored and answered at one time are few. */
const days = new Map<number, string>()

const formatDay = (day: number): string => {
  const known = days.get(day)
  if (known !== undefined) return known
  if (days.size === 1_000) days.clear()
  const text = new Date(day * millisecondsOfDay).toISOString().slice(0, -"T00:00:00.000Z".length)
  days.set(day, text)
  return text
}

/**
 * What `Date.toISOString` prints, in less than a third of the time: V8 leaves printing to C's
 * `snprintf`.
 */
const format = (instant: DateTime.Utc): string => {
  // As `Date` does; arithmetic can leave a part of a millisecond.
  const time = Math.trunc(DateTime.toEpochMillis(instant))
  const day = Math.floor(time / millisecondsOfDay)
  const milliseconds = time - day * millisecondsOfDay
  const seconds = Math.floor(milliseconds / 1_000)
  const minutes = Math.floor(seconds / 60)
  const clock = `${two[Math.floor(minutes / 60)]}:${two[minutes % 60]}:${two[seconds % 60]}`
  return `${formatDay(day)}T${clock}.${three[milliseconds % 1_000]}Z`
}

/**
 * An instant in JSON: RFC 3339 with an offset or `Z`, years 1 to 9999, real calendar dates only;
 * answered in UTC with milliseconds: `2026-01-31T12:00:00.000Z`.
 */
export const Timestamp = Schema.String.annotate({ format: "date-time" }).pipe(
  Schema.decodeTo(Schema.DateTimeUtc, {
    decode: parsed(parse, "Expected an RFC 3339 date and time with an offset, years 1 to 9999"),
    encode: SchemaGetter.transform(format),
  }),
)

/** An instant in a row; what `infinity` becomes is none. Every row has two or more of them. */
export const StoredTimestamp = Schema.Date.pipe(
  Schema.decodeTo(Schema.DateTimeUtc, {
    decode: parsed(
      (date: Date) =>
        Number.isNaN(date.getTime()) ? Option.none() : Option.some(DateTime.fromDateUnsafe(date)),
      "Expected a finite instant",
    ),
    encode: SchemaGetter.transform(DateTime.toDateUtc),
  }),
)
