import { assert, layer } from "@effect/vitest"
import { Context, Effect } from "effect"
import { Api } from "../../src/api/Api.ts"
import { RequiredScope } from "../../src/api/Authorization.ts"
import { Scope } from "../../src/domain/ApiKey.ts"
import { assertInvalid, assertJson, assertProblem } from "../support/answers.ts"
import { call, get, post } from "../support/calls.ts"
import { contractRoutes, keyedRoutes, targetOf } from "../support/contractRoutes.ts"
import { exchange } from "../support/RawSocket.ts"
import { keyWith, TestService } from "../support/TestService.ts"

const scopes = Scope.literals.filter((scope) => scope !== "*")

const withHeader = (authorization: string | ReadonlyArray<string>) =>
  get("/v1/users", { key: null, headers: { authorization } })

layer(TestService)("authorization", (it) => {
  it.effect("asks of each route the scope of the contract, and covers every route", () =>
    Effect.sync(() => {
      const declared = Object.values(Api.groups).flatMap((group) =>
        Object.values(group.endpoints).map(({ method, path, annotations }) => ({
          route: `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`,
          scope: Context.getOrUndefined(annotations, RequiredScope),
        }))
      )
      const promised = contractRoutes.map(({ method, path, scope }) => ({
        route: `${method} ${path}`,
        scope,
      }))
      const byRoute = (a: { readonly route: string }, b: { readonly route: string }) =>
        a.route < b.route ? -1 : 1
      assert.deepStrictEqual(declared.sort(byRoute), promised.sort(byRoute))
    }))

  for (const route of keyedRoutes) {
    const { method, path, scope: required = "*" } = route
    it.effect(`lets only ${required} into ${method} ${path}`, () =>
      Effect.gen(function* () {
        for (const scope of [...scopes, "*"] as const) {
          const answer = yield* call(method, targetOf(route), {
            json: route.body,
            key: keyWith(scope),
          })
          if (scope === required || scope === "*") {
            assert.notInclude([401, 403, 500], answer.status)
          } else {
            assertProblem(answer, 403, "forbidden")
          }
        }
      }))

    it.effect(`refuses ${method} ${path} without a key, and with an unknown one`, () =>
      Effect.gen(function* () {
        for (const key of [null, "nobody's"]) {
          const answer = yield* call(method, targetOf(route), { json: route.body, key })
          assertProblem(answer, 401, "unauthorized")
          assert.match(String(answer.headers["www-authenticate"]), /^Bearer\b/)
        }
      }))
  }

  it.effect("takes the scheme in any case", () =>
    Effect.gen(function* () {
      for (const scheme of ["Bearer", "bearer", "BEARER", "bEaReR"]) {
        assertJson(yield* withHeader(`${scheme} ${keyWith("*")}`), 200)
      }
    }))

  it.effect("takes more than one blank after the scheme, as the grammar has it", () =>
    Effect.gen(function* () {
      assertJson(yield* withHeader(`Bearer   ${keyWith("*")}`), 200)
    }))

  it.effect("refuses what is no bearer key", () =>
    Effect.gen(function* () {
      const key = keyWith("*")
      for (
        const authorization of [
          "",
          "Bearer",
          "Bearer ",
          key,
          `Basic ${btoa(`:${key}`)}`,
          `Token ${key}`,
          `Bearer${key}`,
          `Bearer ${key}x`,
          `Bearer ${key.slice(1)}`,
          `Bearer ${key.toUpperCase()}`,
          `Bearer "${key}"`,
          `Bearer ${key}, Bearer ${key}`,
          `Bearer \u00e9`,
          `Bearer ${"x".repeat(8000)}`,
        ]
      ) {
        const answer = yield* withHeader(authorization)
        assertProblem(answer, 401, "unauthorized")
        assert.match(String(answer.headers["www-authenticate"]), /^Bearer\b/)
      }
    }))

  it.effect("takes no key from the query, a cookie or another header", () =>
    Effect.gen(function* () {
      const key = keyWith("*")
      const target = `/v1/users?access_token=${encodeURIComponent(key)}`
      assertProblem(yield* get(target, { key: null }), 401, "unauthorized")
      for (const headers of [{ cookie: `bearer=${key}` }, { "x-api-key": key }]) {
        assertProblem(yield* get("/v1/users", { key: null, headers }), 401, "unauthorized")
      }
    }))

  it.effect("looks at the key before it looks at anything else", () =>
    Effect.gen(function* () {
      const broken = { headers: { "content-type": "application/json" }, body: "{" }
      const unknown = yield* call("POST", "/v1/users", { ...broken, key: null })
      assertProblem(unknown, 401, "unauthorized")
      const other = yield* call("POST", "/v1/users", { ...broken, key: keyWith("users:read") })
      assertProblem(other, 403, "forbidden")
      const nobody = yield* get("/v1/users/me", { key: null })
      assertProblem(nobody, 401, "unauthorized")
      const idle = yield* post("/v1/users", {}, { key: null, headers: { "idempotency-key": "1" } })
      assertProblem(idle, 401, "unauthorized")
    }))

  it.effect("answers HEAD as it answers GET", () =>
    Effect.gen(function* () {
      const unknown = yield* call("HEAD", "/v1/users", { key: null })
      assert.strictEqual(unknown.status, 401)
      assert.strictEqual(unknown.headers["www-authenticate"], "Bearer")
      const other = yield* call("HEAD", "/v1/users", { key: keyWith("tokens:read") })
      assert.strictEqual(other.status, 403)
    }))

  it.effect("does not choose between two keys in one request", () =>
    Effect.gen(function* () {
      const [answer] = yield* exchange(
        [
          "GET /v1/users HTTP/1.1",
          "Host: localhost",
          "Connection: close",
          "Authorization: Bearer nobody's",
          `Authorization: Bearer ${keyWith("*")}`,
          "",
          "",
        ].join("\r\n"),
      )
      assert.isDefined(answer)
      if (answer !== undefined) assertInvalid(answer, "authorization")
    }))
})
