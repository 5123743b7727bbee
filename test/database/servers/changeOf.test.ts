import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { changeOf } from "../../../src/database/servers/changeOf.ts"
import * as DatabaseUrl from "../../../src/database/url/DatabaseUrl.ts"

const parse = (url: string) =>
  Effect.map(DatabaseUrl.parse(Redacted.make(url)), ({ parameters }) => parameters)

const url = "postgres://u:p@a:1,b:2/d?connect_timeout=3&sslmode=require"

layer(NodeServices.layer)("changeOf", (it) => {
  it.effect.each(
    [
      [url, "none"],
      ["postgres://u:q@a:1,b:2/d?connect_timeout=3&sslmode=require", "credentials"],
      ["postgres://v:p@a:1,b:2/d?connect_timeout=3&sslmode=require&dbname=d", "credentials"],
      ["postgres://u@a:1,b:2/d?connect_timeout=3&sslmode=require", "credentials"],
      ["postgres://u:p@a:1,b:2/d?connect_timeout=3&sslmode=verify-full", "credentials"],
      ["postgres://u:p@a:1,b:2/d?connect_timeout=3&sslmode=prefer", "credentials"],
      ["postgres://u:p@a:1,b:2/e?connect_timeout=3&sslmode=require", "more"],
      ["postgres://u:p@a:1,b:3/d?connect_timeout=3&sslmode=require", "more"],
      ["postgres://u:p@a:1/d?connect_timeout=3&sslmode=require", "more"],
      ["postgres://u:p@b:2,a:1/d?connect_timeout=3&sslmode=require", "more"],
      ["postgres://u:p@a:1,b:2/d?connect_timeout=4&sslmode=require", "more"],
      [
        "postgres://u:q@a:1,b:2/d?connect_timeout=3&sslmode=require&target_session_attrs=any",
        "more",
      ],
    ] as const,
  )("to %s is %s", ([after, expected]) =>
    Effect.gen(function* () {
      assert.strictEqual(changeOf(yield* parse(url), yield* parse(after)), expected)
    }))
})
