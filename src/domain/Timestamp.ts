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
    : Option.some(DateTime.makeUnsafe(instant))
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

/** What `Date.toISOString` prints, in a third of the time: V8 leaves printing to C's `snprintf`. */
const format = (instant: DateTime.Utc): string => {
  const date = DateTime.toDateUtc(instant)
  const year = date.getUTCFullYear()
  if (year < 1_000 || year > 9_999) return date.toISOString()
  const day = `${year}-${two[date.getUTCMonth() + 1]}-${two[date.getUTCDate()]}`
  const minute = `${two[date.getUTCHours()]}:${two[date.getUTCMinutes()]}`
  const second = `${two[date.getUTCSeconds()]}.${three[date.getUTCMilliseconds()]}`
  return `${day}T${minute}:${second}Z`
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
