import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, DateTime, Effect, Option, Schema } from "effect"
import { Timestamp } from "../../src/domain/Timestamp.ts"
import { anyOf, between, oneOf } from "../support/arbitraries.ts"
import { checks } from "../support/checks.ts"

const decode = Schema.decodeOption(Timestamp)
const encode = Schema.encodeSync(Timestamp)

const year = anyOf(
  between(0, 9_999),
  between(0, 31),
  oneOf(0, 2, 4, 12, 49, 50, 99, 100, 400, 1900, 1970, 2000, 2027, 9_998, 9_999),
)

const digits = (value: number, length: number) => `${value}`.padStart(length, "0")

const daysIn = (year: number, month: number) => {
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  return [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0
}

/** Any date and time that can be written down, real or not. */
const written = Arbitrary.all({
  year,
  month: anyOf(between(1, 12), between(0, 13), between(0, 99)),
  day: anyOf(between(1, 31), between(0, 32), between(0, 99)),
  hour: anyOf(between(0, 23), oneOf(24)),
  minute: anyOf(between(0, 59), oneOf(60)),
  second: anyOf(between(0, 59), oneOf(60)),
  fraction: oneOf("", ".0", ".5", ".12", ".123", ".9999", ".123456789", ".99999999999999999999"),
  offset: Arbitrary.all({
    sign: oneOf(1, -1),
    hours: anyOf(between(0, 23), oneOf(24)),
    minutes: anyOf(between(0, 59), oneOf(60)),
  }),
  separator: oneOf("T", "t"),
})
type Written = typeof written extends Arbitrary.Arbitrary<infer A> ? A : never

const format = (given: Written) => {
  const { sign, hours, minutes } = given.offset
  const date = `${digits(given.year, 4)}-${digits(given.month, 2)}-${digits(given.day, 2)}`
  const time = `${digits(given.hour, 2)}:${digits(given.minute, 2)}:${digits(given.second, 2)}`
  const offset = `${sign < 0 ? "-" : "+"}${digits(hours, 2)}:${digits(minutes, 2)}`
  return `${date}${given.separator}${time}${given.fraction}${offset}`
}

const isReal = ({ year, month, day, hour, minute, second, offset }: Written) =>
  year >= 1 && day >= 1 && day <= daysIn(year, month) && hour < 24 && minute < 60 && second < 60 &&
  offset.hours < 24 && offset.minutes < 60

describe("Timestamp", () => {
  it.prop(
    "gives back every instant of the years 1 to 9999 that it writes",
    [between(-62_135_596_800_000, 253_402_300_799_999)],
    ([milliseconds]) => {
      const text = encode(DateTime.makeUnsafe(milliseconds))
      assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      assert.deepStrictEqual(
        Option.map(decode(text), DateTime.toEpochMillis),
        Option.some(milliseconds),
      )
    },
    checks(500),
  )

  it.prop(
    "writes what Date writes, and cuts a part of a millisecond",
    [between(-62_135_596_800_000, 253_402_300_799_999), oneOf(0, 0.25, -0.25, 0.999)],
    ([milliseconds, part]) => {
      const instant = DateTime.mapEpochMillis(
        DateTime.makeUnsafe(0),
        () => milliseconds + part,
      )
      assert.strictEqual(encode(instant), new Date(milliseconds + part).toISOString())
    },
    checks(500),
  )

  it.prop(
    "reads exactly the dates and times that exist, as the same instant cut to milliseconds",
    [written],
    ([given]) => {
      const decoded = decode(format(given))
      if (!isReal(given)) return assert.isTrue(Option.isNone(decoded))
      const { sign, hours, minutes } = given.offset
      if (Option.isNone(decoded)) {
        // Only a date at the edge, which is in another year in UTC.
        assert.include(["0001-01-01", "9999-12-31"], format(given).slice(0, 10))
        return
      }
      const local = DateTime.add(decoded.value, { minutes: sign * (hours * 60 + minutes) })
      assert.deepInclude(DateTime.toPartsUtc(local), {
        year: given.year,
        month: given.month,
        day: given.day,
        hour: given.hour,
        minute: given.minute,
        second: given.second,
        millisecond: Number(given.fraction.slice(1, 4).padEnd(3, "0")),
      })
    },
    checks(2_000),
  )

  it.prop(
    "refuses a time with a character in it that belongs in none",
    [written, between(0, 40), oneOf(0, 1), oneOf(..." \n\0,/x_[+e\u0663\u2212")],
    ([given, position, replaced, foreign]) => {
      const text = format({ ...given, offset: { sign: 1, hours: 0, minutes: 0 } })
        .replace("+00:00", "Z")
      const start = Math.min(position, text.length)
      assert.isTrue(
        Option.isNone(decode(text.slice(0, start) + foreign + text.slice(start + replaced))),
      )
    },
    checks(500),
  )
})

const Misread = Schema.fromJsonString(
  Schema.Struct({ offset: Schema.Number, misread: Schema.Array(Schema.String) }),
)

describe.concurrent("Timestamp, of all years, months and days in two digits each,", () => {
  // Minutes that UTC is ahead of each zone in January.
  for (
    const [zone, offset] of Object.entries({
      "UTC": 0,
      "America/New_York": 300,
      "Asia/Kathmandu": -345,
    })
  ) {
    it.effect(
      `reads those of the calendar and no others in ${zone}`,
      () =>
        Effect.gen(function* () {
          // A process of its own: the zone is read once.
          const { stdout } = yield* Effect.promise(() =>
            new Deno.Command(Deno.execPath(), {
              args: [
                "eval",
                "--no-check",
                `const { misreadDates } = await import("./test/domain/misreadDates.ts")
              const offset = new Date("2027-01-01T00:00:00Z").getTimezoneOffset()
              console.log(JSON.stringify({ offset, misread: misreadDates() }))`,
              ],
              cwd: new URL("../..", import.meta.url).pathname,
              env: { TZ: zone },
              stderr: "inherit",
            }).output()
          )
          const result = yield* Schema.decodeEffect(Misread)(new TextDecoder().decode(stdout))
          assert.deepStrictEqual(result, { offset, misread: [] })
        }),
    )
  }
})
