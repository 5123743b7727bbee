import { assert, layer } from "@effect/vitest"
import { Arbitrary, Effect, Option, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../src/domain/Email.ts"
import { anyOf, between, oneOf } from "../support/arbitraries.ts"
import { checks } from "../support/checks.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const isEmail = (text: string) => Option.isSome(Schema.decodeOption(Email)(text))

const matching = (pattern: RegExp) =>
  Arbitrary.schema(Schema.String.check(Schema.isPattern(pattern)))

const local = matching(/^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,20}$/)
const label = matching(/^[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?$/)
const address = Arbitrary.map(
  Arbitrary.all([local, Arbitrary.array(label, { minLength: 1, maxLength: 4 })]),
  ([local, labels]) => `${local}@${labels.join(".")}`,
)

/** Strings that are addresses but for a character or two. */
const nearly = Arbitrary.map(
  Arbitrary.all({
    address: anyOf(address, oneOf("a@b", `${"a".repeat(242)}@example.com`, `a@${"b".repeat(63)}`)),
    inserted: oneOf(
      ...[
        "",
        "@",
        ".",
        "-",
        "..",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\u00a0",
        '"',
        "(",
        "\\",
        ",",
        ":",
        ";",
      ],
      ...["<", ">", "[", "é", "ſ", "K", "İ", "😀", "\u0001", "\u007f", "b", "B0"],
    ),
    position: between(0, 260),
  }),
  ({ address, inserted, position }) =>
    address.slice(0, position) + inserted + address.slice(position),
)

const CheckDefinition = Schema.Tuple([Schema.Struct({ definition: Schema.String })])
const Judged = Schema.Array(Schema.Struct({ email: Schema.String, accepted: Schema.Boolean }))

layer(TestDatabase.layerClient)("Email", (it) => {
  it.prop("takes every address of the grammar, unchanged", [address], ([given]) => {
    assert.deepStrictEqual(Schema.decodeOption(Email)(given), Option.some(Email.make(given)))
  }, checks(500))

  it.prop(
    "refuses an address with a blank, a control or a non-ASCII character anywhere",
    [
      address,
      between(0, 60),
      oneOf(...[" ", "\t", "\n", "\0", "\u007f", "\u00a0", "é", "İ", "😀"]),
    ],
    ([given, at, character]) => {
      assert.isFalse(isEmail(given.slice(0, at) + character + given.slice(at)))
    },
    checks(500),
  )

  it.prop("takes 254 characters and refuses 255", [between(1, 60)], ([length]) => {
    const domain = `${"b".repeat(length)}.example.com`
    const fitting = `${"a".repeat(254 - 1 - domain.length)}@${domain}`
    assert.isTrue(isEmail(fitting))
    assert.isFalse(isEmail(`a${fitting}`))
  }, checks(60))

  it.effect.prop(
    "takes exactly what the checks of the database take",
    [
      Arbitrary.array(nearly, { minLength: 50, maxLength: 200 }),
      oneOf("users_email_check", "login_attempts_email_check"),
    ],
    ([candidates, constraint]) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const [{ definition }] = yield* sql`
          SELECT pg_get_constraintdef(oid) AS definition
          FROM pg_constraint
          WHERE conname = ${constraint}`.pipe(
          Effect.flatMap(Schema.decodeUnknownEffect(CheckDefinition)),
        )
        const condition = sql.literal(definition.replace(/^CHECK /, ""))
        const judged = yield* sql`
          SELECT email, ${condition} AS accepted
          FROM (
            SELECT value COLLATE "C" AS email FROM jsonb_array_elements_text(${
          JSON.stringify(candidates)
        }::jsonb) AS given (value)
          ) AS candidates`.pipe(Effect.flatMap(Schema.decodeUnknownEffect(Judged)))
        assert.strictEqual(judged.length, candidates.length)
        assert.deepStrictEqual(
          judged.filter(({ email, accepted }) => isEmail(email) !== accepted),
          [],
        )
      }),
    checks(25),
  )
})
