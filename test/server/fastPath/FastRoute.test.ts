import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { Api } from "../../../src/api/Api.ts"
import { type FastHandlers, fastRoutes } from "../../../src/server/fastPath/FastRoute.ts"
import { contractRoutes } from "../../support/contractRoutes.ts"

/** Handlers for all endpoints of a group, which answer with what they were given. */
const echoes = (endpoints: object): FastHandlers =>
  Object.fromEntries(
    Object.keys(endpoints).map((name) => [name, (request) => Effect.succeed(request)]),
  )

const routes = Object.values(Api.groups).flatMap((group) =>
  fastRoutes(group, echoes(group.endpoints))
)

/**
 * Those of the contract, but for long work, answers without a body or with one of two statuses, and what
 * needs no key.
 */
const expected = contractRoutes.flatMap(({ method, path, scope, body }) =>
  method === "DELETE" || path.startsWith("/v1/maintenance/") || method === "PUT" ||
    scope === undefined
    ? []
    : [{
      method,
      path: path.replaceAll(/\{(\w+)\}/g, ":$1"),
      scope,
      takesBody: body !== undefined,
    }]
)

const routeOf = (wanted: string) => {
  const found = routes.find(({ method, path }) => `${method} ${path}` === wanted)
  return found ?? assert.fail(`There is no ${wanted}`)
}

const id = "6f1c1a52-7f3b-4d0e-9c65-0a4d1f2b7c11"
const noParts = { parameters: {}, query: undefined, headers: {} }
const request = { headers: {} }

describe("the fast routes", () => {
  it("are those of the contract that ask for nothing more than a key", () => {
    assert.isNotEmpty(expected)
    assert.sameDeepMembers(
      routes.map(({ method, path, scope, takesBody }) => ({ method, path, scope, takesBody })),
      expected,
    )
  })

  it("are none where there is no handler, or no endpoint for it", () => {
    const { users } = Api.groups
    const { getById } = echoes(users.endpoints)
    assert.isDefined(getById)
    if (getById === undefined) return
    assert.deepStrictEqual(fastRoutes(users, {}), [])
    assert.deepStrictEqual(fastRoutes(users, { somethingElse: getById }), [])
    assert.lengthOf(fastRoutes(users, { getById }), 1)
  })

  it("decode what the schemas take, and nothing else", () => {
    const { decode } = routeOf("GET /v1/users/:id")
    const parts = { ...noParts, parameters: { id: id.toUpperCase() } }
    assert.deepStrictEqual(decode(parts), { params: { id }, request })
    assert.isUndefined(decode({ ...parts, parameters: { id: "7" } }))
    assert.isUndefined(decode({ ...parts, query: {} }), "a query, though empty")

    const list = routeOf("GET /v1/users")
    assert.deepStrictEqual(list.decode(noParts), { query: { limit: 50 }, request })
    assert.deepStrictEqual(list.decode({ ...noParts, query: { limit: "7", cursor: "c" } }), {
      query: { limit: 7, cursor: "c" },
      request,
    })
    assert.isUndefined(list.decode({ ...noParts, query: { limit: "101" } }))
    assert.isUndefined(list.decode({ ...noParts, query: { extra: "1" } }))

    const create = routeOf("POST /v1/users")
    const withKey = (key: string) =>
      create.decode({ ...noParts, headers: { "idempotency-key": key } })
    const headers = { "idempotency-key": id }
    assert.deepStrictEqual(withKey(id), { headers, request: { headers } })
    assert.isUndefined(withKey("7"))
  })

  it.effect("give handlers the decoded body, or refuse it as a problem of the body", () =>
    Effect.gen(function* () {
      const { decode, handle } = routeOf("POST /v1/users/:id/refresh-tokens/revoke")
      const handled = (body: string) =>
        handle(decode({ ...noParts, parameters: { id } }) ?? assert.fail(), body)
      assert.deepStrictEqual(yield* handled('{"exceptTokenHash":"h"}'), {
        params: { id },
        payload: { exceptTokenHash: "h" },
        request,
      })
      for (const body of ["", "{", "[]", "null", '{"exceptTokenHash":1}', '{"extra":1}']) {
        const refused = yield* Effect.result(handled(body))
        assert.isTrue(Result.isFailure(refused), body)
        if (Result.isFailure(refused)) {
          assert.deepInclude(refused.failure, { _tag: "InvalidRequest", status: 400 }, body)
        }
      }
    }))

  it("encode what handlers succeed with, and throw at what the schemas do not know", () => {
    const { encode } = routeOf("GET /v1/users/:id/login-attempts/recent-failures")
    assert.deepStrictEqual(encode({ count: 7, secret: "x" }), {
      status: 200,
      headers: { "content-type": "application/json" },
      body: '{"count":7}',
    })
    assert.throws(() => encode({ count: "7" }))
    assert.throws(() => routeOf("GET /v1/users/:id").encode({ id }), TypeError)
  })
})
