/**
 * Instants in JSON: RFC 3339 with an offset or `Z`, years 1 to 9999, real calendar dates only.
 */
import { DateTime, Effect, Option, Schema, SchemaIssue, SchemaTransformation } from "effect"

// RFC 3339, 5.6. Leap seconds are left out: neither JavaScript nor PostgreSQL can give one back.
const pattern =
  /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))$/

const earliest = DateTime.makeUnsafe("0001-01-01T00:00:00.000Z")
const latest = DateTime.makeUnsafe("9999-12-31T23:59:59.999Z")

/**
 * Parses an instant; digits finer than a millisecond are cut. `Date` turns 30 February into
 * 2 March instead of refusing it, so the parsed date must print as it was written.
 */
const parse = (input: string): Option.Option<DateTime.Utc> =>
  Option.gen(function* () {
    const [, date, time, fraction = "", sign, hours, minutes] = yield* Option.fromNullishOr(
      pattern.exec(input),
    )
    const local = `${date}T${time}.${fraction.slice(0, 3).padEnd(3, "0")}Z`
    const parsed = yield* Option.map(DateTime.make(local), DateTime.toUtc)
    if (DateTime.formatIso(parsed) !== local) return yield* Option.none()
    const offset = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * (sign === "-" ? -1 : 1)
    const instant = DateTime.subtract(parsed, { minutes: offset })
    if (!DateTime.between(instant, { minimum: earliest, maximum: latest })) {
      return yield* Option.none()
    }
    return instant
  })

/** An instant, answered in UTC with milliseconds: `2026-01-31T12:00:00.000Z`. */
export const Timestamp = Schema.String.annotate({ format: "date-time" }).pipe(
  Schema.decodeTo(
    Schema.DateTimeUtc,
    SchemaTransformation.transformEffect({
      decode: (input: string, options) =>
        Option.match(parse(input), {
          onSome: Effect.succeed,
          onNone: () =>
            Effect.fail(
              new SchemaIssue.InvalidValue(
                { message: "Expected an RFC 3339 date and time with an offset, years 1 to 9999" },
                input,
                options,
              ),
            ),
        }),
      encode: (instant) => Effect.succeed(DateTime.formatIso(instant)),
    }),
  ),
)
