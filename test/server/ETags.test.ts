import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { assertInvalid, assertJson, assertProblem } from "../support/answers.ts"
import { createUser } from "../support/bodies.ts"
import { call, get, patch } from "../support/calls.ts"
import { TestService } from "../support/TestService.ts"

const aUserWithTag = Effect.gen(function* () {
  const { id } = yield* createUser()
  const path = `/v1/users/${id}`
  return { id: String(id), path, etag: yield* tagOf(path) }
})

const tagOf = (path: string) =>
  Effect.map(get(path), (answer) => {
    const etag = answer.headers["etag"]
    assert.match(String(etag), /^"[\x21\x23-\x7e]+"$/)
    return String(etag)
  })

const patchIf = (path: string, match: string | ReadonlyArray<string>, json: unknown) =>
  patch(path, json, { headers: { "if-match": match } })
const deleteIf = (path: string, match: string) =>
  call("DELETE", path, { headers: { "if-match": match } })

layer(TestService)("ETag", (it) => {
  it.effect("stays while the user does, and changes with each change", () =>
    Effect.gen(function* () {
      const { path, etag } = yield* aUserWithTag
      assert.strictEqual(yield* tagOf(path), etag)
      const seen = new Set([etag])
      for (const changes of [{ fullName: "Ada" }, { fullName: null }, { isActive: false }]) {
        const tag = (yield* patch(path, changes)).headers["etag"]
        assert.strictEqual(tag, yield* tagOf(path))
        seen.add(String(tag))
      }
      assert.strictEqual(seen.size, 4)
    }))

  it.effect("changes when psql changes the row, also twice within a millisecond", () =>
    Effect.gen(function* () {
      const { id, path, etag } = yield* aUserWithTag
      const sql = yield* SqlClient.SqlClient
      const seen = new Set([etag])
      for (const name of ["Ada", "Grace"]) {
        yield* sql`UPDATE users SET full_name = ${name} WHERE id = ${id}`
        seen.add(yield* tagOf(path))
      }
      yield* sql.withTransaction(Effect.gen(function* () {
        yield* sql`UPDATE users SET full_name = 'Mary' WHERE id = ${id}`
        yield* sql`UPDATE users SET full_name = 'Jean' WHERE id = ${id}`
      }))
      seen.add(yield* tagOf(path))
      yield* sql`UPDATE users SET updated_at = updated_at, full_name = 'Ada' WHERE id = ${id}`
      seen.add(yield* tagOf(path))
      assert.strictEqual(seen.size, 5)
    }))

  it.effect("is another when a user is deleted and created again under the same id", () =>
    Effect.gen(function* () {
      const { id, path, etag } = yield* aUserWithTag
      const { email } = (yield* get(path)).json
      yield* call("DELETE", path)
      const again = yield* call("POST", "/v1/users", {
        json: { email, authProvider: "google", googleId: id },
        headers: { "idempotency-key": id },
      })
      assert.strictEqual(assertJson(again, 201)["id"], id)
      assert.notStrictEqual(again.headers["etag"], etag)
      assertProblem(yield* deleteIf(path, etag), 412, "precondition-failed")
    }))
})

layer(TestService)("If-Match", (it) => {
  it.effect("lets a change through to the version that it names, and to no other", () =>
    Effect.gen(function* () {
      const { path, etag } = yield* aUserWithTag
      const changed = yield* patchIf(path, etag, { fullName: "Ada" })
      assert.strictEqual(assertJson(changed, 200)["fullName"], "Ada")
      const late = yield* patchIf(path, etag, { fullName: "Grace" })
      assertProblem(late, 412, "precondition-failed")
      assert.strictEqual((yield* get(path)).json["fullName"], "Ada")
      assertProblem(yield* patchIf(path, etag, {}), 412, "precondition-failed")
    }))

  it.effect("lets a deletion through to the version that it names, and to no other", () =>
    Effect.gen(function* () {
      const { path, etag } = yield* aUserWithTag
      yield* patch(path, { fullName: "Ada" })
      assertProblem(yield* deleteIf(path, etag), 412, "precondition-failed")
      assert.strictEqual((yield* deleteIf(path, yield* tagOf(path))).status, 204)
    }))

  it.effect("takes a list, in one header and in several", () =>
    Effect.gen(function* () {
      const { path, etag } = yield* aUserWithTag
      for (
        const match of [
          `"x", ${etag}`,
          `${etag},"x"`,
          ` ${etag} `,
          `,, ${etag} ,`,
          `"a,b", ${etag}`,
          `W/"x", ${etag}`,
          [`"x"`, etag],
        ]
      ) {
        assertJson(yield* patchIf(path, match, {}), 200)
      }
    }))

  it.effect("takes an asterisk for any version of a user who is there", () =>
    Effect.gen(function* () {
      const { path } = yield* aUserWithTag
      assertJson(yield* patchIf(path, "*", { fullName: "Ada" }), 200)
      assert.strictEqual((yield* deleteIf(path, "*")).status, 204)
    }))

  it.effect("never matches weak tags, nor what is no version", () =>
    Effect.gen(function* () {
      const { path, etag } = yield* aUserWithTag
      for (
        const match of [
          `W/${etag}`,
          `W/${etag}, W/"x"`,
          '"x"',
          '""',
          '"*"',
          `"${etag.slice(1, -1)} "`.replace(" ", "!"),
          `"0${etag.slice(1)}`,
          '"9223372036854775808"',
          '"1e3"',
          '"\u00e9"',
        ]
      ) {
        const answer = yield* patchIf(path, match, { fullName: "Ada" })
        assertProblem(answer, 412, "precondition-failed")
        assertProblem(yield* deleteIf(path, match), 412, "precondition-failed")
      }
      assert.isNull((yield* get(path)).json["fullName"])
    }))

  it.effect("that is no list of tags is refused", () =>
    Effect.gen(function* () {
      const { path, etag } = yield* aUserWithTag
      for (
        const match of [
          "",
          ",",
          etag.slice(1, -1),
          `"${etag}"`,
          `${etag} ${etag}`,
          `w/${etag}`,
          `*, ${etag}`,
          `${etag}, *`,
          '"',
          `'${etag.slice(1, -1)}'`,
        ]
      ) {
        assertInvalid(yield* patchIf(path, match, { fullName: "Ada" }), "if-match")
        assertInvalid(yield* deleteIf(path, match), "if-match")
      }
      assert.isNull((yield* get(path)).json["fullName"])
    }))

  it.effect("of a user who is not there is 404", () =>
    Effect.gen(function* () {
      const path = `/v1/users/${crypto.randomUUID()}`
      for (const match of ["*", '"1"']) {
        assertProblem(yield* patchIf(path, match, {}), 404, "user-not-found")
        assertProblem(yield* deleteIf(path, match), 404, "user-not-found")
      }
    }))

  it.effect("lets one of twenty through that all saw the same version", () =>
    Effect.gen(function* () {
      const { path, etag } = yield* aUserWithTag
      const answers = yield* Effect.all(
        Array.from({ length: 20 }, (_, n) => patchIf(path, etag, { fullName: `Number ${n}` })),
        { concurrency: "unbounded" },
      )
      const statuses = answers.map(({ status }) => status).sort()
      assert.deepStrictEqual(statuses, [200, ...Array.from({ length: 19 }, () => 412)])
    }))
})
