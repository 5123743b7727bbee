/**
 * What can be odd about a request before anything of it is decoded.
 */
import { Arbitrary } from "effect"
import { anyOf, between, oneOf } from "../support/arbitraries.ts"
import { keyWith } from "../support/TestService.ts"
import type { Message } from "./Message.ts"

type Oddity = (message: Message) => Message

const mapTarget = (change: (target: string) => string): Oddity => (message) => ({
  ...message,
  target: change(message.target),
})

const splitTarget = (target: string) => {
  const [path = "", ...query] = target.split("?")
  return { path, query: query.length === 0 ? undefined : query.join("?") }
}

const ofWholeTarget = Arbitrary.map(
  oneOf<(target: string) => string>(
    (target) => `/${target}`,
    (target) => target.replace("/v1/", "/v1//"),
    (target) => target.replace("/v1/", "/V1/"),
    (target) => target.replace("/v1/", "/%76%31/"),
    (target) => target.replace("/v1/", "/./v1/"),
    (target) => target.replace("/v1/", "/v1/x/../"),
    (target) => target.replaceAll("-", "%2D"),
    (target) => `http://localhost${target}`,
    (target) => `${target}/`,
    (target) => `${target}?`,
    (target) => `${target}#x`,
    (target) => `${target};x`,
    (target) => `${target}&`,
    (target) => `${target}%`,
    (target) => `${target}%zz`,
    (target) => target.replaceAll(/%[0-9A-F]{2}/g, (triplet) => triplet.toLowerCase()),
    (target) => target.replaceAll("%2B", "+"),
    (target) => target.replaceAll("%40", "@"),
  ),
  mapTarget,
)

const segments = [
  ...["credentials", "by-email", "by-google-id", "refresh-tokens", "recent-failures", "valid"],
  ...[
    "sessions",
    "revoke",
    "rotate",
    "users",
    ":id",
    "*",
    "**",
    "..",
    ".",
    "%2e%2e",
    "%2E",
    "~",
    "",
    "+",
  ],
  ...["%2F", "a%2Fb", "%00", "%zz", "%", "%ff", "%c3%a9", "\u00e9", "a;b", "a#b", "a+b", "a%20b"],
  ...["a&b=c", "a=b", "$&'()*,:@!", "(x)", "[x]", "{x}", "a|b", "a\\b", "a^b", "a`b", '"a"'],
  ...["__proto__", "constructor", "toString", "%5F%5Fproto%5F%5F"],
]

/** One segment of the path in place of another. */
const ofSegments = Arbitrary.map(
  Arbitrary.all([between(2, 5), oneOf(...segments)]),
  ([at, segment]) =>
    mapTarget((target) => {
      const { path, query } = splitTarget(target)
      const parts = path.split("/")
      const changed = (at < parts.length ? parts.with(at, segment) : [...parts, segment]).join("/")
      return query === undefined ? changed : `${changed}?${query}`
    }),
)

const ofQuery = Arbitrary.map(
  oneOf(
    ...["limit=1", "limit=2&limit=1", "limit=", "limit", "=1", "&", "&&limit=1", "limit=1&"],
    ...["%6cimit=1", "limit=%31", "limit=+1", "limit=1;x", "limit=1#x", "limit=1?x", "limit=1=1"],
    ...["include=user", "include=", "include=User", "include=user&include=user", "%69nclude=user"],
    ...["minutes=15", "active=true", "active=", "active=1", "cursor=", "cursor=x", "extra=1"],
    ...["email=a+b@example.com", "email=a%2Bb%40example.com", "email=a%20b", "email=%ff"],
    ...[
      "ipAddress=192.0.2.1",
      "ipAddress=::ffff:192.0.2.1",
      "ipAddress=%3A%3A1",
      "ipAddress=[::1]",
    ],
    ...["__proto__=1", "constructor=1", "limit[]=1", "limit[0]=1", "a%00=1", "a=%00", "a=%", "%=a"],
    ...["email=a@b.c&ipAddress=192.0.2.1&minutes=1", "a/b=c/d", "email=$&x='!()*", "a:b@c=d~"],
  ),
  (added) => mapTarget((target) => `${target}${target.includes("?") ? "&" : "?"}${added}`),
)

const without = (headers: ReadonlyArray<string>, name: string) =>
  headers.filter((line) => !line.toLowerCase().startsWith(`${name}:`))

/** These lines in place of all of this name. */
const lines = (name: string, ...values: ReadonlyArray<string>): Oddity => (message) => ({
  ...message,
  headers: [...without(message.headers, name), ...values.map((value) => `${name}: ${value}`)],
})

const key = keyWith("*")

const ofHeaders = anyOf(
  oneOf(
    lines("host"),
    lines("host", ""),
    lines("host", "localhost", "localhost"),
    lines("host", "a b"),
  ),
  oneOf(
    lines("authorization"),
    lines("authorization", ""),
    lines("authorization", `bearer ${key}`),
    lines("authorization", `BEARER ${key}`),
    lines("authorization", `Bearer  ${key}`),
    lines("authorization", `Bearer   ${key}  `),
    lines("authorization", `Bearer\t${key}`),
    lines("authorization", `Bearer ${key},`),
    lines("authorization", `Bearer "${key}"`),
    lines("authorization", `Bearer${key}`),
    lines("authorization", `Bearer: ${key}`),
    lines("authorization", key),
    lines("authorization", "Bearer"),
    lines("authorization", "Bearer x"),
    lines("authorization", "Bearer \u00ff"),
    lines("authorization", `Basic ${key}`),
    lines("authorization", `Bearer ${key}`, "Bearer x"),
    lines("authorization", "Bearer x", `Bearer ${key}`),
    lines("authorization", `Bearer ${keyWith("users:read")}`),
    lines("authorization", `Bearer ${keyWith("tokens:write")}`),
    lines("authorization", `Bearer ${keyWith("maintenance")}`),
  ),
  Arbitrary.map(
    oneOf(
      ...[
        "application/json; charset=utf-8",
        "Application/JSON;charset=latin1",
        "application/json ;",
      ],
      ...["application/json,text/plain", "application/jsonx", "application/problem+json", ""],
      ...["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
      ...["application", "json", "application/*", ";", "application/json\t; a=b"],
    ),
    (type) => lines("content-type", type),
  ),
  oneOf(
    lines("content-type"),
    lines("content-type", "application/json", "text/plain"),
    lines("content-type", "text/plain", "application/json"),
  ),
  Arbitrary.map(
    oneOf(
      ...["40000000-0000-4000-8000-00000000000f", "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF", "", "x"],
      ...["{40000000-0000-4000-8000-00000000000f}", "4000000000004000800000000000000f"],
      ...["10000000-0000-4000-8000-00000000000f", "00000000-0000-0000-0000-000000000000"],
    ),
    (value) => lines("idempotency-key", value),
  ),
  oneOf(
    lines("idempotency-key"),
    lines("idempotency-key", ...Array(2).fill("40000000-0000-4000-8000-00000000000f")),
  ),
  Arbitrary.map(
    oneOf(...["*", " * ", '"1"', 'W/"1"', '"1", "2", "3"', ',"1",', "", ",", "x", '"', '"\u00ff"']),
    (value) => lines("if-match", value),
  ),
  oneOf(lines("if-match", '"1"', '"2"'), lines("if-match", "*", '"1"')),
  oneOf(
    lines("accept", "text/html"),
    lines("accept-encoding", "gzip"),
    lines("if-none-match", "*"),
    lines("content-encoding", "gzip"),
    lines("x-http-method-override", "DELETE"),
    lines("expect", "100-continue"),
    lines("expect", "something"),
    lines("range", "bytes=0-1"),
    lines("cookie", "a=b"),
    lines("upgrade", "h2c"),
    lines("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
  ),
)

const withBody = (change: (body: Buffer) => Uint8Array): Oddity => (message) => ({
  ...message,
  body: change(Buffer.from(message.body ?? "{}")),
})

/** JSON of which the first brace is the beginning, with a property more. */
const withProperty = (property: string) =>
  withBody((body) => Buffer.from(String(body).replace("{", `{${property},`)))

const kibibytes = 1_024

/** With blanks after it, unless what was changed before has made it longer already. */
const padded = (length: number) =>
  withBody((body) => Buffer.concat([body, Buffer.alloc(Math.max(0, length - body.length), " ")]))

const ofBodies = oneOf<Oddity>(
  (message) => ({ ...message, framing: "chunks" }),
  (message) => ({ ...message, framing: "chunks", body: message.body ?? Buffer.from("{}") }),
  (message) => ({ ...message, framing: "chunks", body: Buffer.alloc(0) }),
  (message) => ({ ...message, body: undefined }),
  withBody(() => Buffer.alloc(0)),
  withBody((body) => Buffer.concat([Buffer.from("\ufeff"), body])),
  withBody((body) => Buffer.concat([body, Buffer.from([0xff])])),
  withBody((body) => Buffer.from(String(body).replace('"', '"\u00ff'), "latin1")),
  withBody((body) => Buffer.from(String(body), "utf16le")),
  withBody((body) => Buffer.from(`${body}\0`)),
  withBody((body) => Buffer.from(`\r\n\t ${body} \n`)),
  withBody((body) => Buffer.from(`${body}${body}`)),
  withBody((body) => Buffer.from(String(body).replace(/\}$/, ",}"))),
  withBody((body) => Buffer.from(`[${body}]`)),
  withBody((body) => body.subarray(0, body.length - 1)),
  withBody((body) => Buffer.from(JSON.stringify(String(body)))),
  padded(256 * kibibytes),
  padded(256 * kibibytes + 1),
  withBody(() => Buffer.from("[".repeat(256 * kibibytes))),
  withBody(() => Buffer.from(`${"[".repeat(100_000)}${"]".repeat(100_000)}`)),
  withBody(() => Buffer.from(`${'{"a":'.repeat(40_000)}1${"}".repeat(40_000)}`)),
  withProperty('"__proto__":null'),
  withProperty('"__proto__":{"isActive":false}'),
  withProperty('"constructor":{}'),
  withProperty('"email":"first@example.com"'),
  withProperty('"success":null'),
  withProperty('"reason":"Logout"'),
  withProperty('"maxSessions":1e1'),
  withProperty('"revokeSessions":{"extra":1}'),
  withProperty(`"userAgent":${"[".repeat(50_000)}${"]".repeat(50_000)}`),
  withProperty(`"fullName":${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`),
  withProperty(`"passwordHash":"${"x".repeat(1_025)}"`),
  withProperty('"exceptTokenHash":1e999'),
  withProperty('"olderThanDays":1e1'),
)

const ofMethods = Arbitrary.map(
  oneOf("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"),
  (method): Oddity => (message) => ({ ...message, method }),
)

const ofVersions = oneOf<Oddity>(
  (message) => ({ ...message, version: "1.0" }),
  (message) => lines("host")({ ...message, version: "1.0" }),
)

const oddity = anyOf<Oddity>(
  ofWholeTarget,
  ofSegments,
  ofQuery,
  ofQuery,
  ofHeaders,
  ofHeaders,
  ofBodies,
  ofBodies,
  ofMethods,
  ofVersions,
)

/** The message with one thing or a few changed. */
export const odd = (message: Message): Arbitrary.Arbitrary<Message> =>
  Arbitrary.map(
    Arbitrary.array(oddity, { minLength: 1, maxLength: 3 }),
    (oddities) => oddities.reduce((changed, change) => change(changed), message),
  )
