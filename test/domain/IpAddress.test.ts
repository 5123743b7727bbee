import { assert, describe, it } from "@effect/vitest"
import { Exit, Schema } from "effect"
import { IpAddress, StoredIpAddress } from "../../src/domain/IpAddress.ts"

const decode = Schema.decodeUnknownExit(IpAddress)
const canonicalForm = (input: string) => {
  const decoded = decode(input)
  return Exit.isSuccess(decoded) ? decoded.value : undefined
}

describe("an IP address", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["2001:DB8::A", "2001:db8::a"],
    ["2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["::", "::"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ])("%s is answered in canonical form, %s", (input, expected) => {
    assert.strictEqual<string | undefined>(canonicalForm(input), expected)
  })

  it.each(["::ffff:192.0.2.1", "::FFFF:192.0.2.1", "0:0:0:0:0:ffff:192.0.2.1", "::ffff:c000:201"])(
    "%s is the IPv4 address that it maps",
    (input) => {
      assert.strictEqual<string | undefined>(canonicalForm(input), "192.0.2.1")
    },
  )

  it.each([
    "",
    " ",
    "192.0.2.1, 198.51.100.7",
    "192.0.2.1:443",
    "[2001:db8::1]",
    "[2001:db8::1]:443",
    "fe80::1%eth0",
    "fe80::1%1",
    "192.0.2.0/24",
    "192.0.2.1/32",
    "2001:db8::/64",
    "unknown",
    "_hidden",
    "localhost",
    "192.0.2.1\n",
    "\n192.0.2.1",
    " 192.0.2.1",
    "192.0.2.1 ",
    "192.0.2",
    "192.0.2.",
    "192.0.2.1.5",
    "192.0.2.256",
    "192.0.2.01",
    "0300.0.2.1",
    "0xc0.0.2.1",
    "0xC0000201",
    "3221225985",
    "1",
    "2001:db8::1::2",
    "2001:db8:1",
    "12345::1",
    "::ffff:192.0.2",
    "::g",
    "192.0.2.1\0",
  ])("%j is refused", (input) => {
    assert.strictEqual(canonicalForm(input), undefined)
  })

  it("that is no string is refused", () => {
    for (const input of [3_221_225_985, null, ["192.0.2.1"], {}]) {
      assert.isTrue(Exit.isFailure(decode(input)))
    }
  })
})

describe("a stored IP address", () => {
  const read = Schema.decodeSync(StoredIpAddress)

  it("is read in canonical form", () => {
    assert.strictEqual<string>(read("::ffff:192.0.2.1"), "192.0.2.1")
    assert.strictEqual<string>(read("2001:db8::1"), "2001:db8::1")
  })

  it("stays readable when something else stored a network", () => {
    assert.strictEqual<string>(read("192.0.2.0/24"), "192.0.2.0/24")
  })
})
