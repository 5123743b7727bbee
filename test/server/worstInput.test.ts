import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { Headers } from "effect/http"
import { PageQuery } from "../../src/api/requests.ts"
import { Email } from "../../src/domain/Email.ts"
import { IpAddress } from "../../src/domain/IpAddress.ts"
import { PasswordHash } from "../../src/domain/PasswordHash.ts"
import { RevocationReason } from "../../src/domain/Session.ts"
import { Timestamp } from "../../src/domain/Timestamp.ts"
import { UserAgent } from "../../src/domain/UserAgent.ts"
import { Uuid } from "../../src/domain/Uuid.ts"
import { boundedText } from "../../src/schema/Text.ts"
import { isNotModified } from "../../src/server/answerHeaders.ts"
import { bearerOf } from "../../src/server/authorize.ts"
import { takesGzip } from "../../src/server/docs/staticDocuments.ts"
import { fromCursor } from "../../src/server/handlers/cursors.ts"
import { toPrecondition } from "../../src/server/handlers/entityTags.ts"
import { decodeUtf8, parseJson, refuseBody } from "../../src/server/requestBody.ts"
import { isHost } from "../../src/server/requestHeaders.ts"
import { normalizeTarget, toOriginForm } from "../../src/server/requestTarget.ts"
import { makeRoutes } from "../../src/server/Routes.ts"

/** The most that a client may send in a header, which is what the service is asked to read most of. */
const size = 16 * 1024

/**
 * Milliseconds. A parser that tries each way to divide its input needs twice as many, or far more; one
 * that does not needs a five-hundredth of them, and a fifth at most where the machine is busy.
 */
const bound = 250

/** Milliseconds from which on it is looked whether four times the input takes four times as long. */
const suspicious = 50

/** Pieces that an input may consist of, again and again. */
const pieces = [
  ...[
    " ",
    "\t",
    " \t",
    "a",
    "A",
    "0",
    "1",
    ".",
    ":",
    "-",
    ",",
    ";",
    "=",
    "&",
    "%",
    "+",
    "?",
    "#",
    "@",
  ],
  ...["[", "]", "{", "}", "(", "/", "\\", '"', "'", "*", "é", "\ud800", "😀", "\r\n", "\0"],
  ...[
    "%41",
    "%20",
    "%ff",
    "%F0%9F%98%80",
    '"1",',
    '"1"',
    'W/"1", ',
    "W/",
    "a.",
    "a-",
    "a@",
    "xn--a.",
  ],
  ...[
    "0.",
    "1.1.",
    "::",
    "f:",
    "0x1.",
    "a=",
    "a=&",
    "aa=1&",
    "../",
    "./",
    "//",
    "Bearer ",
    "gzip,",
  ],
  ...["gzip;q=0,", "q=1;", "application/json", "a, ", '{"a":', "[0,"],
]

/** What may be before them, and after. */
const frames = [
  ["", ""],
  ["", "x"],
  ["", "\n"],
  ['"1",', ""],
  ['"1",', "x"],
  ['"1"', "x"],
  ['"1"', '"'],
  ["a@", ""],
  ["a@a", "!"],
  ["Bearer", ""],
  ["Bearer ", "x"],
  ["/v1/users/", ""],
  ["/v1/users/", "/x"],
  ["/v1/users?a=", ""],
  ["/v1/users?a=", ";"],
  ["http://", ""],
  ["http://a/", ""],
  ["http://", "/v1/users"],
  ["1", "!"],
  ["a:", "x"],
  ["application/json", "x"],
  ["2026-01-01T00:00:00.", "x"],
  ['{"a":"', '"}'],
  ["eyJ", ""],
] as const

const inputs = pieces.flatMap((piece) => {
  const repeated = piece.repeat(size / piece.length)
  return frames.map(([start, end]) => `${start}${repeated}${end}`)
})

const decode = (schema: Schema.Codec<unknown>) => {
  const decodeAll = Schema.decodeUnknownResult(schema, { errors: "all" })
  return (input: string) => decodeAll(input)
}

const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runSync(Effect.exit(effect))

const routes = makeRoutes([], () => true)

/** All that reads what a client sent, by what it reads. */
const parsers: Readonly<Record<string, (input: string) => unknown>> = {
  "If-Match": (input) => run(toPrecondition(input)),
  "If-None-Match": (input) =>
    isNotModified("GET", { "if-none-match": input }, { status: 200, headers: { etag: '"tag"' } }),
  "Accept-Encoding": takesGzip,
  Authorization: bearerOf,
  Host: isHost,
  "Content-Type": (type) => refuseBody({ "content-type": type, "content-length": "1" }, 1),
  "Content-Encoding": (coding) =>
    refuseBody({ "content-encoding": coding, "content-length": "1" }, 1),
  "any header": (value) => Headers.fromInput({ value }),
  "a target": (target) => routes.match("GET", target),
  "an unusual target": (target) =>
    Option.map(normalizeTarget(toOriginForm(target)), (normalized) => [
      routes.find("GET", normalized),
      routes.methodsAt(normalized),
    ]),
  "a body": (body) => decodeUtf8(Buffer.from(body)),
  JSON: parseJson,
  "a cursor": (cursor) => run(fromCursor("users", cursor)),
  "a number": decode(PageQuery.limit),
  "an e-mail address": decode(Email),
  "an IP address": decode(IpAddress),
  "a password hash": decode(PasswordHash),
  "bounded text": decode(boundedText(200)),
  "a reason": decode(RevocationReason),
  "a time": decode(Timestamp),
  "a user agent": decode(UserAgent),
  "a UUID": decode(Uuid),
}

/** The shortest of several runs, so that what else the machine does is left out. */
const timeOf = (parse: (input: string) => unknown, input: string) => {
  let shortest = Infinity
  for (let attempt = 0; attempt < 10 && shortest > suspicious / 10; attempt++) {
    const started = performance.now()
    parse(input)
    shortest = Math.min(shortest, performance.now() - started)
  }
  return shortest
}

describe("the time to read", () => {
  for (const [name, parse] of Object.entries(parsers)) {
    it(`${name} is proportional to its length, whatever it is`, () => {
      for (const input of inputs) {
        const time = timeOf(parse, input)
        assert.isBelow(time, bound, input.slice(0, 40))
        if (time < suspicious) continue
        // Sixteen times as long would be one way to divide it for each character.
        const quarter = input.slice(0, input.length / 4)
        assert.isBelow(time, 8 * timeOf(parse, quarter), input.slice(0, 40))
      }
    })
  }
})
