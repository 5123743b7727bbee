/**
 * Instants, in JSON and in rows.
 */
import { DateTime, Option, Schema, SchemaGetter } from "effect"
import { fromParser } from "../schema/fromParser.ts"

// RFC 3339, 5.6. Leap seconds are left out: neither JavaScript nor PostgreSQL can give one back.
const pattern =
  /^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))$/

const earliest = Date.parse("0001-01-01T00:00:00.000Z")
const latest = Date.parse("9999-12-31T23:59:59.999Z")

/**
 * Parses an instant; digits finer than a millisecond are cut.
 *
 * `Date` is never given text: what is not quite an ISO date it would guess at, in the local time
 * zone ("0001-13-13T00:00:00Z" is 13 January 2013 to V8).
 */
const parse = (input: string): Option.Option<DateTime.Utc> => {
  const match = pattern.exec(input)
  if (match === null) return Option.none()
  const part = (index: number) => Number(match[index] ?? 0)
  const [year, day] = [part(1), part(3)]
  const date = new Date(0)
  date.setUTCFullYear(year, part(2) - 1, day)
  // `Date` turns 30 February into 2 March instead of refusing it.
  if (year === 0 || date.getUTCDate() !== day) return Option.none()
  const ahead = 60 * part(9) + part(10)
  const minute = match[8] === "-" ? part(5) + ahead : part(5) - ahead
  const millisecond = Number((match[7] ?? "").slice(0, 3).padEnd(3, "0"))
  const instant = date.setUTCHours(part(4), minute, part(6), millisecond)
  return instant >= earliest && instant <= latest
    ? Option.some(DateTime.fromDateUnsafe(date))
    : Option.none()
}

/**
 * An instant in JSON: RFC 3339 with an offset or `Z`, years 1 to 9999 as they are written and in
 * UTC, real calendar dates only; encoded in UTC with milliseconds: `2026-01-31T12:00:00.000Z`.
 */
export const Timestamp = Schema.String.annotate({ format: "date-time" }).pipe(
  Schema.decodeTo(Schema.DateTimeUtc, {
    decode: fromParser(parse, "Expected an RFC 3339 date and time with an offset, years 1 to 9999"),
    encode: SchemaGetter.transform(DateTime.formatIso),
  }),
)

/** An instant in a row; what `infinity` becomes is none. Every row has two or more of them. */
export const StoredTimestamp = Schema.Date.pipe(
  Schema.decodeTo(Schema.DateTimeUtc, {
    decode: fromParser(
      (date: Date) =>
        Number.isNaN(date.getTime()) ? Option.none() : Option.some(DateTime.fromDateUnsafe(date)),
      "Expected a finite instant",
    ),
    encode: SchemaGetter.transform(DateTime.toDateUtc),
  }),
)
