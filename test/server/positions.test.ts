import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { call } from "../support/calls.ts"
import { TestService } from "../support/TestService.ts"

layer(TestService)("without replicas", (it) => {
  it.effect("writes tell no position, and reads take no notice of one", () =>
    Effect.gen(function* () {
      const created = yield* call("POST", "/v1/users", {
        json: { email: "ada@example.com", authProvider: "email", passwordHash: "hash" },
      })
      assert.strictEqual(created.status, 201)
      assert.notProperty(created.headers, "latchkey-position")
      const path = `/v1/users/${String(created.json["id"])}`
      const headers = { "latchkey-position": "1.1.1" }
      assert.strictEqual((yield* call("GET", path, { headers })).status, 200)
      // By way of the router.
      const deleted = yield* call("DELETE", path)
      assert.strictEqual(deleted.status, 204)
      assert.notProperty(deleted.headers, "latchkey-position")
    }))
})
