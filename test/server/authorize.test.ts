import { assert, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { Effect, Option } from "effect"
import { ApiKey } from "../../src/domain/ApiKey.ts"
import { ApiKeys } from "../../src/operations/ApiKeys.ts"
import { callerOf, forbidden, refuseCaller, unauthorized } from "../../src/server/authorize.ts"

const sha256 = createHash("sha256").update("key").digest("hex")

it.effect("refuseCaller lets nobody use an endpoint that names no scope", () =>
  Effect.gen(function* () {
    const keys = yield* ApiKeys
    const known = callerOf(keys, "Bearer key")
    assert.strictEqual(refuseCaller(known, Option.none()), forbidden)
    assert.strictEqual(refuseCaller(callerOf(keys, undefined), Option.none()), unauthorized)
    assert.strictEqual(refuseCaller(known, Option.some("maintenance")), undefined)
  }).pipe(Effect.provide(ApiKeys.layer([new ApiKey({ name: "all", sha256, scopes: ["*"] })]))))
