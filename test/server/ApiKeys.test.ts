import { assert, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { Effect, Option, Ref } from "effect"
import { TestClock } from "effect/testing"
import { ApiKey, type Scope } from "../../src/domain/ApiKey.ts"
import { ApiKeys } from "../../src/server/ApiKeys.ts"

const apiKey = (name: string, key: string, scopes: ReadonlyArray<Scope> = ["*"]) =>
  new ApiKey({ name, sha256: createHash("sha256").update(key).digest("hex"), scopes })

const nameOf = (key: string, connection?: object) =>
  ApiKeys.use(({ find }) =>
    Effect.sync(() => Option.map(find(key, connection), ({ name }) => name))
  )

it.effect("a key is found by its hash, also one of several of the same name", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* nameOf("old"), Option.some("auth-service"))
    assert.deepStrictEqual(yield* nameOf("new"), Option.some("auth-service"))
    assert.deepStrictEqual(yield* nameOf("other"), Option.none())
    assert.deepStrictEqual(yield* nameOf(""), Option.none())
  }).pipe(
    Effect.provide(
      ApiKeys.layer([apiKey("auth-service", "old"), apiKey("auth-service", "new")]),
    ),
  ))

it.effect("what a connection brought before is no pass for another key", () =>
  Effect.gen(function* () {
    const connection = {}
    for (const [key, name] of [["one", "a"], ["one", "a"], ["two", "b"], ["one", "a"]] as const) {
      assert.deepStrictEqual(yield* nameOf(key, connection), Option.some(name))
    }
    for (const other of ["onf", "oneone", "on", "", "One"]) {
      assert.deepStrictEqual(yield* nameOf(other, connection), Option.none())
    }
    assert.deepStrictEqual(yield* nameOf("one", connection), Option.some("a"))
  }).pipe(Effect.provide(ApiKeys.layer([apiKey("a", "one"), apiKey("b", "two")]))))

it.effect("a key that is added or withdrawn counts within five seconds, and a mistake changes nothing", () =>
  Effect.gen(function* () {
    const file = yield* Ref.make<Effect.Effect<ReadonlyArray<ApiKey>, Error>>(
      Effect.succeed([apiKey("a", "first")]),
    )
    const reloading = ApiKeys.layerReloading(
      [apiKey("a", "first")],
      Effect.flatten(Ref.get(file)),
    )
    const connection = {}
    yield* Effect.gen(function* () {
      yield* Ref.set(file, Effect.succeed([apiKey("b", "second")]))
      assert.deepStrictEqual(yield* nameOf("first"), Option.some("a"))
      assert.deepStrictEqual(yield* nameOf("first", connection), Option.some("a"))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* nameOf("first"), Option.none())
      assert.deepStrictEqual(yield* nameOf("first", connection), Option.none())
      assert.deepStrictEqual(yield* nameOf("second"), Option.some("b"))

      yield* Ref.set(file, Effect.fail(new Error("half a file")))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* nameOf("second"), Option.some("b"))

      yield* Ref.set(file, Effect.succeed([apiKey("a", "first")]))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* nameOf("first"), Option.some("a"))
    }).pipe(Effect.provide(reloading))
  }))
