/**
 * Dates of which every year, month and day has the digits that it should, real or not, and whether
 * `Timestamp` reads them as the calendar does.
 */
import { DateTime, Option, Schema } from "effect"
import { Timestamp } from "../../src/domain/Timestamp.ts"

const decode = Schema.decodeOption(Timestamp)

/** Among them those whose last digits a lenient parser takes for a month or a day. */
const years = [
  ...Array.from({ length: 34 }, (_, year) => year),
  ...[49, 50, 51, 68, 69, 70, 99, 100, 112, 999, 1000, 1300, 1582, 1900, 1969, 1970, 1999, 2000],
  ...[2004, 2027, 2038, 2100, 9998, 9999],
]

const isLeap = (year: number) => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0

const lengths = (
  year: number,
) => [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** From 1 January of the year 1 to 1 January 1970. */
const daysBefore1970 = 719_162

/** By arithmetic alone: milliseconds from 1970 to the start of a day, if there is such a day. */
const startOf = (year: number, month: number, day: number): number | undefined => {
  const months = lengths(year)
  if (year < 1 || day < 1 || day > (months[month - 1] ?? 0)) return undefined
  const before = year - 1
  const leapDays = Math.floor(before / 4) - Math.floor(before / 100) + Math.floor(before / 400)
  const days = months.slice(0, month - 1).reduce((sum, length) => sum + length, day - 1)
  return (365 * before + leapDays + days - daysBefore1970) * 86_400_000
}

const digits = (value: number, length: number) => `${value}`.padStart(length, "0")

const upTo99 = Array.from({ length: 100 }, (_, value) => value)

/** What lies at the ends of a month, and what a lenient parser takes for a month or a year. */
const tellingDays = [0, 1, 2, 12, 13, 28, 29, 30, 31, 32, 49, 50, 70, 99]

/** Every date with two digits for its month and its day that is misread or wrongly refused. */
export const misreadDates = (): ReadonlyArray<string> => {
  const misread: Array<string> = []
  for (const year of years) {
    for (const month of upTo99) {
      for (const day of month <= 13 ? upTo99 : tellingDays) {
        const text = `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)}T00:00:00Z`
        const read = Option.getOrUndefined(Option.map(decode(text), DateTime.toEpochMillis))
        if (read !== startOf(year, month, day)) misread.push(text)
      }
    }
  }
  return misread
}
