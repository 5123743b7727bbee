import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Arbitrary, Effect, Redacted, Schema } from "effect"
import * as DatabaseUrl from "../../../src/database/url/DatabaseUrl.ts"
import { anyOf, anyString, between, oneOf, text } from "../../support/arbitraries.ts"
import { checks } from "../../support/checks.ts"

/** Any text but the empty one, which means that the part is left out. */
const part = Arbitrary.map(text, (value) => value === "" ? "x" : value)

const host = anyOf<string>(
  Arbitrary.schema(
    Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9-]{0,8}(\.[a-z]{1,5}){0,2}$/)),
  ),
  oneOf("localhost", "127.0.0.1", "::1", "2001:db8::1", "/run/postgresql", "/tmp/a b"),
)

const parts = Arbitrary.all({
  scheme: oneOf("postgres", "postgresql"),
  username: part,
  password: part,
  host,
  port: between(1, 65_535),
  database: part,
  applicationName: part,
  inQuery: oneOf(false, true),
})
type Parts = typeof parts extends Arbitrary.Arbitrary<infer A> ? A : never

const print = ({ scheme, inQuery, ...values }: Parts) => {
  const encode = encodeURIComponent
  const user = `${encode(values.username)}:${encode(values.password)}`
  const host = values.host.includes(":") ? `[${values.host}]` : encode(values.host)
  const name = `application_name=${encode(values.applicationName)}`
  return inQuery
    ? `${scheme}://?user=${encode(values.username)}&password=${encode(values.password)}` +
      `&host=${encode(values.host)}&port=${values.port}&dbname=${encode(values.database)}&${name}`
    : `${scheme}://${user}@${host}:${values.port}/${encode(values.database)}?${name}`
}

const secretOf = (password: unknown) =>
  Redacted.isRedacted(password) ? Redacted.value(password) : undefined

layer(NodeServices.layer)("DatabaseUrl", (it) => {
  it.effect.prop(
    "gives back the parts that a URL was printed from",
    [parts],
    ([given]) =>
      Effect.gen(function* () {
        const { parameters, warnings } = yield* DatabaseUrl.parse(Redacted.make(print(given)))
        assert.deepInclude(parameters, {
          username: given.username,
          host: given.host,
          port: given.port,
          database: given.database,
          applicationName: given.applicationName,
        })
        assert.strictEqual(secretOf(parameters.password), given.password)
        assert.deepStrictEqual(warnings, [])
      }),
    checks(500),
  )

  it.effect.prop(
    "never repeats a piece of a URL that it refuses",
    [anyOf(anyString, Arbitrary.map(anyString, (given) => `postgres://u:${given}@h:x/d`))],
    ([given]) =>
      Effect.gen(function* () {
        const secret = "Tr0ub4dor"
        const url = given.includes("postgres://")
          ? given.replace("u:", `u:${secret}`)
          : `${secret}${given}`
        const error = yield* Effect.flip(DatabaseUrl.parse(Redacted.make(url)))
        assert.strictEqual(error._tag, "DatabaseUrlInvalid")
        assert.notInclude(error.message, secret)
      }),
    checks(500),
  )
})
