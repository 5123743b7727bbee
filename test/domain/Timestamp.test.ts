import { assert, describe, it } from "@effect/vitest"
import { DateTime, Exit, Schema } from "effect"
import { StoredTimestamp, Timestamp } from "../../src/domain/Timestamp.ts"

const decode = Schema.decodeUnknownExit(Timestamp)
const inUtc = (input: string) => {
  const decoded = decode(input)
  return Exit.isSuccess(decoded) ? Schema.encodeSync(Timestamp)(decoded.value) : undefined
}

describe("a timestamp", () => {
  it.each([
    ["2026-06-01T12:00:00Z", "2026-06-01T12:00:00.000Z"],
    ["2026-06-01t12:00:00z", "2026-06-01T12:00:00.000Z"],
    ["2026-06-01T12:00:00.5Z", "2026-06-01T12:00:00.500Z"],
    ["2026-06-01T12:00:00.123999999Z", "2026-06-01T12:00:00.123Z"],
    ["2026-06-01T12:00:00+05:30", "2026-06-01T06:30:00.000Z"],
    ["2026-06-01T12:00:00.000-00:00", "2026-06-01T12:00:00.000Z"],
    ["2026-01-01T00:00:00+14:00", "2025-12-31T10:00:00.000Z"],
    ["2026-12-31T23:59:59.999-23:59", "2027-01-01T23:58:59.999Z"],
    ["2028-02-29T00:00:00Z", "2028-02-29T00:00:00.000Z"],
    ["2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z"],
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"],
    ["0099-01-01T00:00:00Z", "0099-01-01T00:00:00.000Z"],
    ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
  ])("%s is %s", (input, expected) => {
    assert.strictEqual(inUtc(input), expected)
  })

  it.each([
    "2027-02-30T00:00:00Z",
    "2027-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2027-04-31T00:00:00Z",
    "2027-13-01T00:00:00Z",
    "2027-00-01T00:00:00Z",
    "2027-01-00T00:00:00Z",
    "2027-01-32T00:00:00Z",
    "0001-13-13T00:00:00Z",
    "0012-31-31T00:00:00Z",
    "0002-30-02T00:00:00Z",
    "0000-12-31T23:59:59-00:01",
    "2027-01-01T24:00:00Z",
    "2027-01-01T12:60:00Z",
    "2027-01-01T12:00:60Z",
    "2016-12-31T23:59:60Z",
    "2027-01-01T12:00:00",
    "2027-01-01",
    "2027-01-01T12:00Z",
    "2027-01-01 12:00:00Z",
    "2027-01-01T12:00:00 Z",
    "2027-01-01T12:00:00.Z",
    "2027-01-01T12:00:00,5Z",
    "2027-01-01T12:00:00+25:00",
    "2027-01-01T12:00:00+24:00",
    "2027-01-01T12:00:00+01:60",
    "2027-01-01T12:00:00+0530",
    "2027-01-01T12:00:00+05",
    "2027-1-1T12:00:00Z",
    "20270101T120000Z",
    "27-01-01T12:00:00Z",
    "+012027-01-01T12:00:00Z",
    "-000001-01-01T00:00:00Z",
    "0000-12-31T00:00:00Z",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "10000-01-01T00:00:00Z",
    "tomorrow",
    "now",
    "infinity",
    "-infinity",
    "epoch",
    "1767225600",
    "1767225600000",
    "",
    " 2027-01-01T12:00:00Z",
    "2027-01-01T12:00:00Z\n",
    "Fri, 01 Jan 2027 12:00:00 GMT",
    "２０２７-01-01T12:00:00Z",
  ])("%j is refused", (input) => {
    assert.strictEqual(inUtc(input), undefined)
  })

  it("that is no string is refused", () => {
    for (const input of [1_767_225_600, 1_767_225_600_000, null, true, {}, ["2027-01-01"]]) {
      assert.isTrue(Exit.isFailure(decode(input)))
    }
  })

  it("is printed as Date prints it, in any year", () => {
    const [first, last] = [Date.parse("0001-01-01T00:00:00Z"), Date.parse("9999-12-31T23:59:59Z")]
    // Years, days, hours and so on all differ from one to the next.
    for (let millis = first; millis <= last; millis += 31_555_123_457) {
      assert.strictEqual(
        Schema.encodeSync(Timestamp)(DateTime.makeUnsafe(millis)),
        new Date(millis).toISOString(),
      )
    }
  })

  it("survives JSON", () => {
    const instant = DateTime.makeUnsafe("2026-06-01T12:00:00.123Z")
    const written = JSON.stringify(Schema.encodeSync(Timestamp)(instant))
    assert.deepStrictEqual(Schema.decodeSync(Timestamp)(JSON.parse(written)), instant)
  })
})

describe("a timestamp in a row", () => {
  const date = new Date("2026-06-01T12:00:00.123Z")

  it("is an instant, and written as the date that it was", () => {
    const instant = Schema.decodeSync(StoredTimestamp)(date)
    assert.deepStrictEqual(instant, DateTime.makeUnsafe(date))
    assert.deepStrictEqual(Schema.encodeSync(StoredTimestamp)(instant), date)
  })

  it("is refused where it is none", () => {
    for (const input of [new Date(NaN), null, date.getTime(), date.toISOString()]) {
      assert.isTrue(Exit.isFailure(Schema.decodeUnknownExit(StoredTimestamp)(input)))
    }
  })
})
