import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeRouteTable } from "../../src/server/RouteTable.ts"

const find = makeRouteTable(
  [
    ["GET", "/v1/users"],
    ["POST", "/v1/users"],
    ["GET", "/v1/users/:id"],
    ["GET", "/v1/users/by-email/:email"],
    ["GET", "/v1/users/:id/tokens/:hash"],
    ["POST", "/v1/users/:user/tokens"],
  ].map(([method = "", path = ""]) => ({ method, path, route: `${method} ${path}` })),
)

/** What a target that is found names: its route, its parameters and its query. */
const assertFound = (
  target: string,
  route: string,
  parameters: Readonly<Record<string, string>> = {},
  query?: Readonly<Record<string, string>>,
) => {
  const [method = ""] = route.split(" ")
  assert.deepStrictEqual(find(method, target), { route, parameters, query }, target)
}

const assertLeftAlone = (...targets: ReadonlyArray<string>) =>
  targets.forEach((target) => assert.isUndefined(find("GET", target), target))

describe("a route table", () => {
  it("finds routes by method and path, and names their parameters", () => {
    assertFound("/v1/users", "GET /v1/users")
    assertFound("/v1/users", "POST /v1/users")
    assertFound("/v1/users/7", "GET /v1/users/:id", { id: "7" })
    assertFound("/v1/users/7/tokens/h", "GET /v1/users/:id/tokens/:hash", { id: "7", hash: "h" })
  })

  it("keeps the names of parameters apart where routes name one place differently", () => {
    assertFound("/v1/users/7/tokens", "POST /v1/users/:user/tokens", { user: "7" })
  })

  it("prefers the name of a segment to a parameter, and takes it for a value elsewhere", () => {
    assertFound("/v1/users/by-email/x", "GET /v1/users/by-email/:email", { email: "x" })
    assertFound("/v1/users/by-email/tokens", "GET /v1/users/by-email/:email", { email: "tokens" })
    assertFound("/v1/users/users", "GET /v1/users/:id", { id: "users" })
    assertFound("/v1/users/by-emai", "GET /v1/users/:id", { id: "by-emai" })
  })

  it("decodes each segment once, and after it was cut out", () => {
    for (
      const [segment, id] of [
        ["a%2Fb", "a/b"],
        ["a%252Fb", "a%2Fb"],
        ["a+b", "a+b"],
        ["a%2Bb", "a+b"],
        ["%F0%9F%98%80", "😀"],
        ["%00", "\0"],
        ["%2e%2E", ".."],
        ["..", ".."],
        ["__proto__", "__proto__"],
        ["~!$&'()*,:=@", "~!$&'()*,:=@"],
      ] as const
    ) {
      assertFound(`/v1/users/${segment}`, "GET /v1/users/:id", { id })
    }
  })

  it("decodes a query whose every name has one value", () => {
    const route = "GET /v1/users"
    assertFound("/v1/users?", route, {}, {})
    assertFound("/v1/users?a=", route, {}, { a: "" })
    assertFound("/v1/users?a=1&b=2", route, {}, { a: "1", b: "2" })
    assertFound("/v1/users?a=1&", route, {}, { a: "1" })
    assertFound("/v1/users?%61=x%2By%26z", route, {}, { a: "x+y&z" })
    assertFound("/v1/users/7?a=1", "GET /v1/users/:id", { id: "7" }, { a: "1" })
  })

  it("leaves paths alone that routers disagree on", () => {
    assertLeftAlone(
      "/v1/users/",
      "//v1/users",
      "/v1//users",
      "/v1/users//",
      "/v1/users/7/",
      "/v1/users/a;b",
      "/v1/users/a#b",
      "/v1/users/a\\b",
      "/v1/users/é",
      "/v1/users/a b",
      "/v1/users#",
      "v1/users",
      "http://localhost/v1/users",
      "*",
      "/",
      "",
    )
  })

  it("leaves percent-encoding alone that is none, or no UTF-8", () => {
    const malformed = ["%", "%a", "%zz", "%ff", "%c3", "%ed%a0%80", "%c0%af", "%u0041"]
    for (const text of malformed) {
      assertLeftAlone(`/v1/users/${text}`, `/v1/users?a=${text}`, `/v1/users?${text}=1`)
    }
  })

  it("leaves queries alone that can be read in more than one way", () => {
    assertLeftAlone(
      "/v1/users?a=1&a=2",
      "/v1/users?a=1&%61=1",
      "/v1/users?a=b+c",
      "/v1/users?a=b=c",
      "/v1/users?a",
      "/v1/users?=1",
      "/v1/users?a=1&&b=2",
      "/v1/users?a=1;b=2",
      "/v1/users?a=1#b",
      "/v1/users?a=1?b=2",
      "/v1/users?a[]=1",
      "/v1/users?__proto__=1",
      "/v1/users?toString=1",
    )
  })

  it("finds nothing at other paths, and no other methods", () => {
    assertLeftAlone("/v1", "/v2/users", "/V1/users", "/v1/users/7/tokens", "/v1/users/by-email")
    assertLeftAlone("/v1/users/7/tokens/h/x", "/v1/user%73/7", "/v1/:id", "/v1/users/7/Tokens/h")
    for (const method of ["HEAD", "PUT", "get", "", "__proto__"]) {
      assert.isUndefined(find(method, "/v1/users"), method)
    }
  })

  it.live("takes no longer over a target that was made to be hard to read", () =>
    Effect.gen(function* () {
      const countFound = Effect.fnUntraced(function* (times: number) {
        let found = 0
        for (const piece of ["aa=", "a=", "aa", "a=&", "=", "&", "%", "/aa", "/"]) {
          for (const end of ["", ";", "#", "=", "&&"]) {
            const part = `${piece.repeat(times)}${end}`
            for (const target of [`/v1/users?a=${part}`, `/v1/users${part}`]) {
              if (find("GET", target) !== undefined) found++
            }
            yield* Effect.yieldNow
          }
        }
        return found
      })
      // A table that tries each way to read one takes seconds for the first of these lengths and a
      // thousand times as long for the third, one that goes back once for each character an hour for
      // the last: the time limit of the test is over before either is done.
      const counts = yield* Effect.forEach([25, 30, 35, 5_000, 100_000], countFound)
      assert.deepStrictEqual(new Set(counts), new Set([1]))
    }))
})
