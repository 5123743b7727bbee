import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Option, Schema } from "effect"
import { IpAddress } from "../../src/domain/IpAddress.ts"
import { anyOf, anyString, between, oneOf } from "../support/arbitraries.ts"
import { checks } from "../support/checks.ts"

const decode = (text: string): string | null =>
  Option.getOrNull(Schema.decodeOption(IpAddress)(text))

const octet = anyOf(between(0, 255), oneOf(0, 1, 10, 255))
const ipv4 = Arbitrary.map(
  Arbitrary.all([octet, octet, octet, octet]),
  (octets) => octets.join("."),
)

const group = anyOf(oneOf(0), between(0, 0xffff))
const groups = Arbitrary.array(group, { minLength: 8, maxLength: 8 })

/** The groups with any run of zeros left out, any padding and any case. */
const spelled = Arbitrary.map(
  Arbitrary.all({
    groups,
    gap: Arbitrary.all({ start: between(0, 7), length: between(0, 8) }),
    padded: oneOf(false, true),
    upperCase: oneOf(false, true),
  }),
  ({ groups, gap, padded, upperCase }) => {
    const write = (values: ReadonlyArray<number>) =>
      values.map((value) => value.toString(16).padStart(padded ? 4 : 1, "0")).join(":")
    const end = gap.start + gap.length
    const left = groups.slice(gap.start, end)
    const text = gap.length > 0 && end <= 8 && left.every((value) => value === 0)
      ? `${write(groups.slice(0, gap.start))}::${write(groups.slice(end))}`
      : write(groups)
    return { groups, text: upperCase ? text.toUpperCase() : text }
  },
)

/** The same address as browsers write it, which is as RFC 5952 says but for mapped ones. */
const canonical = (text: string) => new URL(`http://[${text}]/`).hostname.slice(1, -1)

const isMapped = (groups: ReadonlyArray<number>) =>
  groups.slice(0, 5).every((value) => value === 0) && groups[5] === 0xffff

describe("IpAddress", () => {
  it.prop("keeps an IPv4 address as it is", [ipv4], ([address]) => {
    assert.strictEqual(decode(address), address)
  }, checks(300))

  it.prop("writes every spelling of an IPv6 address as RFC 5952 does", [spelled], ([address]) => {
    if (isMapped(address.groups)) return
    assert.strictEqual(decode(address.text), canonical(address.text))
  }, checks(1_000))

  it.prop(
    "takes an IPv4-mapped address for the IPv4 address that it is",
    [ipv4, oneOf("::ffff:", "::FFFF:", "0:0:0:0:0:ffff:", "0000::0:ffff:")],
    ([address, prefix]) => {
      const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number)
      const hexadecimal = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
      assert.strictEqual(decode(`${prefix}${address}`), address)
      assert.strictEqual(decode(`${prefix}${hexadecimal}`), address)
    },
    checks(300),
  )

  it.prop(
    "refuses an address with anything before or after it",
    [
      anyOf(ipv4, Arbitrary.map(spelled, ({ text }) => text)),
      oneOf(...["%eth0", "/24", "/128", " ", "\n", "\0", ",192.0.2.1", ", ::1", "]", ".", "x"]),
      oneOf(...["[", " ", "\t", "::1,", "192.0.2.1 ", "http://", "\u200b"]),
    ],
    ([address, after, before]) => {
      assert.isNull(decode(`${address}${after}`))
      assert.isNull(decode(`${before}${address}`))
      assert.isNull(decode(`${before}${address}${after}`))
    },
    checks(500),
  )

  it.prop("refuses an IPv4 address in another form", [ipv4, between(0, 3)], ([address, index]) => {
    const octets = address.split(".")
    const replaced = (octet: string) => octets.with(index, octet).join(".")
    const forms = [
      `${address}:5432`,
      octets.slice(0, 3).join("."),
      replaced(""),
      replaced("256"),
      replaced(`0x${Number(octets[index]).toString(16)}`),
      replaced(`0${octets[index]}`),
      `${octets.reduce((sum, octet) => sum * 256 + Number(octet), 0)}`,
    ]
    for (const form of forms) assert.isNull(decode(form), form)
  }, checks(300))

  it.prop(
    "gives only canonical addresses, whatever the string",
    [anyOf(anyString, ipv4, Arbitrary.map(spelled, ({ text }) => text))],
    ([given]) => {
      const address = decode(given)
      assert.strictEqual(address === null ? null : decode(address), address)
    },
    checks(300),
  )
})
