import { assert, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { Effect, Option } from "effect"
import { ApiKey } from "../../src/domain/ApiKey.ts"
import { ApiKeys } from "../../src/operations/ApiKeys.ts"
import { forbidden, refuseCaller, unauthorized } from "../../src/server/authorize.ts"

const sha256 = createHash("sha256").update("key").digest("hex")

it.effect("refuseCaller lets nobody use an endpoint that names no scope", () =>
  Effect.gen(function* () {
    const keys = yield* ApiKeys
    assert.strictEqual(refuseCaller(keys, Option.none(), "key"), forbidden)
    assert.strictEqual(refuseCaller(keys, Option.none(), undefined), unauthorized)
    assert.strictEqual(refuseCaller(keys, Option.some("maintenance"), "key"), undefined)
  }).pipe(Effect.provide(ApiKeys.layer([new ApiKey({ name: "all", sha256, scopes: ["*"] })]))))
