import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { createUser } from "../support/bodies.ts"
import { call, get, patch, post } from "../support/calls.ts"
import { TestService } from "../support/TestService.ts"

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

layer(TestService)("every answer", (it) => {
  const answers = Effect.gen(function* () {
    const user = yield* createUser()
    return yield* Effect.all({
      "the fast path's": get(`/v1/users/${user["id"]}`),
      "the router's": get("/v1/users?limit=0"),
      "a refusal by the gate": get("/v1/nothing"),
      "a refusal of a caller": get(`/v1/users/${user["id"]}`, { key: null }),
      "a refusal of a body": post("/v1/users", {}),
      "that of a deletion": call("DELETE", `/v1/users/${user["id"]}`),
    })
  })

  it.effect("has the request's id, and is not to be stored", () =>
    Effect.gen(function* () {
      const ids = new Set<string>()
      for (const [name, { headers }] of Object.entries(yield* answers)) {
        assert.match(headers["x-request-id"] ?? "", uuid, name)
        assert.strictEqual(headers["cache-control"], "no-store", name)
        ids.add(headers["x-request-id"] ?? "")
      }
      assert.strictEqual(ids.size, 6)
    }))

  it.effect("takes the client's id if it is visible ASCII of at most 128 characters", () =>
    Effect.gen(function* () {
      const idOf = (id: string | ReadonlyArray<string>) =>
        Effect.map(
          get("/v1/users", { headers: { "x-request-id": id } }),
          ({ headers }) => headers["x-request-id"] ?? "",
        )
      for (const id of ["a", "trace/1:2=3", "~".repeat(128)]) {
        assert.strictEqual(yield* idOf(id), id)
      }
      for (const id of ["", "two words", "~".repeat(129), "caf\u00e9", ["one", "two"]]) {
        assert.match(yield* idOf(id), uuid)
      }
    }))
})

layer(TestService)("If-None-Match", (it) => {
  it.effect("is 304 while the user is as the client has it, on all routes with a tag", () =>
    Effect.gen(function* () {
      const user = yield* createUser()
      const paths = [
        `/v1/users/${user["id"]}`,
        `/v1/users/by-email/${user["email"]}`,
        `/v1/users/${user["id"]}/credentials`,
      ]
      for (const path of paths) {
        const { headers } = yield* get(path)
        const etag = headers["etag"] ?? ""
        for (const method of ["GET", "HEAD"]) {
          for (const sent of [etag, `W/${etag}`, `"0", ${etag}`, "*"]) {
            const answer = yield* call(method, path, { headers: { "if-none-match": sent } })
            assert.strictEqual(answer.status, 304, `${method} ${path} ${sent}`)
            assert.strictEqual(answer.headers["etag"], etag)
            assert.strictEqual(answer.headers["cache-control"], "no-store")
            assert.strictEqual(answer.text, "")
          }
          for (const sent of ['"0"', "nonsense", ""]) {
            const answer = yield* call(method, path, { headers: { "if-none-match": sent } })
            assert.strictEqual(answer.status, 200, `${method} ${path} ${sent}`)
          }
        }
      }
      const path = paths[0] ?? ""
      const before = yield* get(path)
      yield* patch(path, { fullName: "Ada" })
      const after = yield* get(path, { headers: { "if-none-match": before.headers["etag"] ?? "" } })
      assert.strictEqual(after.status, 200)
      const missing = yield* get(`/v1/users/${crypto.randomUUID()}`, {
        headers: { "if-none-match": "*" },
      })
      assert.strictEqual(missing.status, 404)
    }))
})
