import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, DateTime, Option, Schema } from "effect"
import { Timestamp } from "../../src/domain/Timestamp.ts"
import { anyOf, anyString, between, oneOf } from "./arbitraries.ts"
import { checks } from "./checks.ts"

const decode = Schema.decodeOption(Timestamp)
const encode = Schema.encodeSync(Timestamp)

const year = anyOf(between(1, 9_999), oneOf(2, 4, 100, 400, 1900, 1970, 2000, 2027, 9_998))

const digits = (value: number, length: number) => `${value}`.padStart(length, "0")

const daysIn = (year: number, month: number) => {
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  return [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0
}

/** Any date and time that can be written down, real or not. */
const written = Arbitrary.all({
  year,
  month: between(0, 13),
  day: between(0, 32),
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
  day >= 1 && day <= daysIn(year, month) && hour < 24 && minute < 60 && second < 60 &&
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

  it.prop("decodes what it makes of any string to the same instant", [anyString], ([given]) => {
    const decoded = decode(given)
    if (Option.isSome(decoded)) {
      assert.deepStrictEqual(decode(encode(decoded.value)), decoded)
    }
  }, checks(300))
})
