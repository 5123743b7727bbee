/**
 * One IP address in canonical form, without port, zone, prefix length or list.
 */
import { Option, Result, Schema, SchemaGetter, SchemaTransformation } from "effect"
import { NetAddress } from "effect/net"
import { fromParser } from "../schema/fromParser.ts"

/** IPv4 in its only form, as nearly all addresses are: nothing has to be taken apart. */
const canonicalIpv4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/

/**
 * The canonical form of an address: RFC 5952 for IPv6, and an IPv4-mapped IPv6 address as the IPv4
 * address that it is, so that one client has one count. None for anything else.
 */
const canonical = (input: string): Option.Option<string> =>
  canonicalIpv4.test(input) ? Option.some(input) : Option.map(
    Result.getSuccess(NetAddress.ipFromString(input)),
    (address) =>
      NetAddress.isIpv6Address(address) && NetAddress.isIpv4Mapped(address)
        ? NetAddress.formatIp(address).slice("::ffff:".length)
        : NetAddress.formatIp(address),
  )

const Canonical = Schema.String.pipe(Schema.brand("IpAddress"))

/** An address as input, in any usual spelling. */
export const IpAddress = Schema.String.pipe(
  Schema.decodeTo(Canonical, {
    decode: fromParser(
      canonical,
      "Expected one IPv4 or IPv6 address without port, zone or prefix length",
    ),
    encode: SchemaGetter.passthrough(),
  }),
)
export type IpAddress = typeof Canonical.Type

/** An address read from the database, in canonical form; a network keeps its prefix length. */
export const StoredIpAddress = Schema.String.pipe(
  Schema.decodeTo(
    Canonical,
    SchemaTransformation.transform({
      decode: (stored: string) => Option.getOrElse(canonical(stored), () => stored),
      encode: (address: string) => address,
    }),
  ),
)
