import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../src/domain/Email.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const label63 = "x".repeat(63)
const longest = `${"x".repeat(242)}@example.com`

const accepted = [
  "Ada@Example.com",
  "a+b@example.com",
  "a%2Bb@example.com",
  "a/b@example.com",
  "o'b@example.com",
  "50%@example.com",
  "what?@example.com",
  "n#1@example.com",
  "!#$%&'*+/=?^_`{|}~-.x@example.com",
  ".dots..anywhere.@example.com",
  "root@localhost",
  "x@xn--bcher-kva.example",
  `x@${label63}.example`,
  "x@1.2",
  longest,
]

const refused = [
  "",
  "example.com",
  "@example.com",
  "x@",
  "x@@example.com",
  "x@y@example.com",
  " x@example.com",
  "x@example.com ",
  "x y@example.com",
  "x@exa mple.com",
  "x@example.com\n",
  "\tx@example.com",
  "x\u00a0@example.com",
  "x\0@example.com",
  "bücher@example.com",
  "x@bücher.example",
  "İ@example.com",
  "x\u200b@example.com",
  "\ud800@example.com",
  '"quoted"@example.com',
  "x(comment)@example.com",
  "<x@example.com>",
  "x@-example.com",
  "x@example-.com",
  "x@example..com",
  "x@example.com.",
  "x@.example.com",
  "x@exam_ple.com",
  "x@[192.0.2.1]",
  `x@${label63}x.example`,
  `x${longest}`,
]

const decode = Schema.decodeUnknownExit(Email)

describe("an e-mail address", () => {
  it.each(accepted)("%j is taken as it is written", (address) => {
    assert.deepStrictEqual(decode(address), Exit.succeed(Email.make(address)))
  })

  it.each(refused)("%j is refused", (address) => {
    assert.isTrue(Exit.isFailure(decode(address)))
  })

  it("is 254 characters long at most", () => {
    assert.lengthOf(longest, 254)
  })
})

/** Whether the database takes an address, which is not kept. */
const databaseTakes = Effect.fnUntraced(function* (address: string) {
  const sql = yield* SqlClient.SqlClient
  const insertions = [
    sql`
      INSERT INTO users (email, auth_provider, password_hash) VALUES (${address}, 'email', 'hash')`,
    sql`
      INSERT INTO login_attempts (email, ip_address, success)
      VALUES (${address}, '192.0.2.1', false)`,
  ]
  return yield* Effect.forEach(insertions, (insertion) =>
    insertion.pipe(
      Effect.andThen(Effect.fail("taken")),
      sql.withTransaction,
      Effect.flip,
      Effect.map((reason) => reason === "taken"),
    ))
})

layer(TestDatabase.layerClient)("the database", (it) => {
  it.effect("takes the same e-mail addresses, whoever writes them", () =>
    Effect.gen(function* () {
      for (const address of accepted) {
        assert.deepStrictEqual(yield* databaseTakes(address), [true, true], address)
      }
    }))

  it.effect("refuses the same e-mail addresses, whoever writes them", () =>
    Effect.gen(function* () {
      for (const address of refused) {
        assert.deepStrictEqual(yield* databaseTakes(address), [false, false], address)
      }
    }))
})
