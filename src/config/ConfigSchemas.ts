/** What the values of environment variables look like, as schemas that decode text. */
import { ByteSize, Duration, LogLevel, Schema, SchemaTransformation } from "effect"
import { isIP } from "node:net"
import { ApiKey } from "../domain/ApiKey.ts"
import { GraceSeconds } from "../domain/RefreshToken.ts"

/** A whole number in digits, within bounds. */
export const integer = (minimum: number, maximum: number) =>
  Schema.String.check(Schema.isPattern(/^\d{1,9}$/)).pipe(
    Schema.decodeTo(Schema.FiniteFromString),
    Schema.check(Schema.isBetween({ minimum, maximum })),
  )

const units: Readonly<Record<string, string>> = {
  ms: "millis",
  s: "seconds",
  m: "minutes",
  h: "hours",
}

/**
 * A time with its unit, `10s`, `500ms` or `2 minutes`: a bare number would leave it to the reader
 * whether these are seconds.
 */
const anyDuration = Schema.String.check(
  Schema.isPattern(/^\d{1,9} ?(?:ms|s|m|h|millis|seconds?|minutes?|hours?)$/),
).pipe(
  Schema.decodeTo(
    Schema.DurationFromString,
    SchemaTransformation.transform({
      decode: (text: string) =>
        text.replace(/ ?([a-z]+)$/, (_, unit: string) => ` ${units[unit] ?? unit}`),
      encode: (text: string) => text,
    }),
  ),
)

/**
 * At least 1 ms, since 0 switches bounds off in PostgreSQL and Node, and at most 24 days, where both run
 * out of their 31 bits of milliseconds.
 */
export const duration = anyDuration.check(
  Schema.makeFilter(Duration.between({ minimum: Duration.millis(1), maximum: Duration.days(24) })),
)

/** A wait that may be none, `0s`; at most 24 days. */
export const wait = anyDuration.check(
  Schema.makeFilter(Duration.between({ minimum: Duration.zero, maximum: Duration.days(24) })),
)

/** Whole seconds, as requests give it; none is `0s`. */
export const rotationGrace = anyDuration.check(
  Schema.makeFilter((grace) => Schema.is(GraceSeconds)(Duration.toSeconds(grace))),
)

/** `256 KiB`, `1 MB`, or a bare number of bytes; at most 1 GiB. */
export const byteSize = Schema.String.pipe(
  Schema.decodeTo(
    Schema.ByteSizeFromString,
    SchemaTransformation.transform({
      decode: (text: string) => /^\d+$/.test(text) ? `${text} B` : text,
      encode: (text: string) => text,
    }),
  ),
  Schema.check(
    Schema.makeFilter(
      ByteSize.between({ minimum: ByteSize.bytes(1), maximum: ByteSize.gibibytes(1) }),
    ),
  ),
)

/** A name or address to listen on, IPv6 without brackets. */
export const host = Schema.String.check(
  Schema.makeFilter((text) => isIP(text) !== 0 || /^[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*$/.test(text)),
)

/** Effect's levels, in any case. */
export const logLevel = Schema.String.pipe(
  Schema.decode(SchemaTransformation.toLowerCase()),
  Schema.decode(SchemaTransformation.capitalize()),
  Schema.refine((level): level is LogLevel.LogLevel =>
    LogLevel.values.some((known) => known === level)
  ),
)

/** A URL of a server that speaks HTTP, without credentials. */
export const httpUrl = Schema.URLFromString.check(
  Schema.makeFilter(({ protocol, username, password }) =>
    (protocol === "http:" || protocol === "https:") && username + password === ""
  ),
)

const pairOf = ({ name, sha256 }: ApiKey) => JSON.stringify([name, sha256.toLowerCase()])

/** A list of keys in JSON. An empty one is refused: it would lock everybody out, or be a mistake. */
export const apiKeys = Schema.fromJsonString(
  Schema.NonEmptyArray(ApiKey).check(
    Schema.makeFilter((keys) => new Set(keys.map(pairOf)).size === keys.length),
  ),
)
