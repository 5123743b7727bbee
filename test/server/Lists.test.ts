import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { assertInvalid, assertPage, type JsonObject } from "../support/answers.ts"
import { aNewUserId, createToken, createUser } from "../support/bodies.ts"
import { call, get } from "../support/calls.ts"
import { TestService } from "../support/TestService.ts"

const joined = (path: string, query: string) => `${path}${path.includes("?") ? "&" : "?"}${query}`

/** Reads a list to its end; `between` runs after each page. */
const readAll = Effect.fnUntraced(function* <E, R>(
  path: string,
  between: (page: number, items: ReadonlyArray<JsonObject>) => Effect.Effect<unknown, E, R>,
) {
  const seen: Array<string> = []
  let cursor: string | null = null
  let pages = 0
  do {
    const query: string = cursor === null ? "" : `cursor=${encodeURIComponent(cursor)}`
    const page = assertPage(yield* get(joined(path, query)))
    seen.push(...ids(page.items))
    cursor = page.nextCursor
    yield* between(pages++, page.items)
  } while (cursor !== null)
  return seen
})

const nothing = () => Effect.void

const ids = (items: ReadonlyArray<JsonObject>) => items.map((item) => String(item["id"]))

/** Creates rows one after the other; their ids in a list's order, since two may share an instant. */
const createEach = Effect.fnUntraced(function* <E, R>(
  count: number,
  create: () => Effect.Effect<JsonObject, E, R>,
) {
  const rows: Array<JsonObject> = []
  for (let n = 0; n < count; n++) rows.push(yield* create())
  const placeOf = ({ createdAt, id }: JsonObject) => `${createdAt} ${id}`
  return ids(rows.sort((one, other) => placeOf(one) < placeOf(other) ? -1 : 1))
})

layer(TestService)("GET /v1/users", (it) => {
  it.effect("gives every user exactly once, the oldest first, whatever the size of a page", () =>
    Effect.gen(function* () {
      const created = yield* createEach(7, createUser)
      for (const limit of [1, 2, 3, 7, 100]) {
        const seen = yield* readAll(`/v1/users?limit=${limit}`, nothing)
        assert.strictEqual(new Set(seen).size, seen.length)
        assert.deepStrictEqual(seen.filter((id) => created.includes(id)), created)
      }
    }))

  it.effect("gives at most as many as are asked for, 50 unless told", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`
        INSERT INTO users (email, auth_provider, google_id)
        SELECT n || '@many.example.com', 'google', 'many ' || n FROM generate_series(1, 101) AS n`
      assert.lengthOf(assertPage(yield* get("/v1/users")).items, 50)
      assert.lengthOf(assertPage(yield* get("/v1/users?limit=1")).items, 1)
      assert.lengthOf(assertPage(yield* get("/v1/users?limit=100")).items, 100)
    }))

  it.effect("gives the same user as by id, without its password hash", () =>
    Effect.gen(function* () {
      const user = yield* createUser()
      let listed: JsonObject | undefined
      yield* readAll("/v1/users?limit=100", (_, items) =>
        Effect.sync(() => {
          listed = items.find((item) => item["id"] === user["id"]) ?? listed
        }))
      assert.deepStrictEqual(listed, user)
    }))

  it.effect("refuses a limit that is none", () =>
    Effect.gen(function* () {
      for (
        const limit of [
          "",
          "0",
          "101",
          "-1",
          "1.0",
          "1e1",
          "0x1",
          "ten",
          "%201",
          "1%20",
          "+5",
          "%D9%A1",
        ]
      ) {
        assertInvalid(
          yield* get(`/v1/users?limit=${limit}`),
          "limit",
        )
      }
      assertInvalid(yield* get(`/v1/users?limit=${"1".repeat(1000)}`), "limit")
    }))
})

layer(TestService)("lists", (it) => {
  it.effect("go on when the cursor's row was deleted, and miss nothing", () =>
    Effect.gen(function* () {
      const created = yield* createEach(6, createUser)
      const seen = yield* readAll("/v1/users?limit=2", (_, items) =>
        Effect.forEach(
          ids(items).filter((id) => created.includes(id)),
          (id) => call("DELETE", `/v1/users/${id}`),
        ))
      assert.deepStrictEqual(seen.filter((id) => created.includes(id)), created)
    }))

  it.effect("give what was there throughout exactly once, whatever comes meanwhile", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const created = yield* createEach(6, () => createToken({ userId }))
      const seen = yield* readAll(
        `/v1/users/${userId}/refresh-tokens?limit=2`,
        (page) => page < 2 ? createToken({ userId }) : Effect.void,
      )
      assert.strictEqual(new Set(seen).size, seen.length)
      assert.deepStrictEqual(seen.filter((id) => created.includes(id)), created)
    }))

  it.effect("give each of a thousand rows of one instant exactly once", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const userId = yield* aNewUserId
      yield* sql`
        INSERT INTO refresh_tokens (user_id, token_hash, expires_at, created_at, revoked_at)
        SELECT
          ${userId}::uuid,
          ${userId} || ' ' || n,
          now() + interval '1 day',
          '2026-01-01T00:00:00.123Z'::timestamptz,
          CASE WHEN n % 2 = 0 THEN now() END
        FROM generate_series(1, 1000) AS n`
      const path = `/v1/users/${userId}/refresh-tokens?limit=99`
      for (const [query, count] of [["", 1000], ["&active=true", 500], ["&active=false", 500]]) {
        const seen = yield* readAll(`${path}${query}`, nothing)
        assert.lengthOf(seen, Number(count))
        assert.strictEqual(new Set(seen).size, Number(count))
      }
    }))

  it.effect("end without a cursor when a page is exactly full, and when there is nothing", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const path = `/v1/users/${userId}/refresh-tokens`
      assert.deepStrictEqual(assertPage(yield* get(path)), { items: [], nextCursor: null })
      yield* createToken({ userId })
      yield* createToken({ userId })
      assert.isNull(assertPage(yield* get(`${path}?limit=2`)).nextCursor)
      assert.isString(assertPage(yield* get(`${path}?limit=1`)).nextCursor)
    }))

  it.effect("refuse a cursor that is none", () =>
    Effect.gen(function* () {
      const encoded = (text: string) => Buffer.from(text).toString("base64url")
      const user = `/v1/users/${yield* aNewUserId}`
      const id = crypto.randomUUID()
      const instant = "2026-01-01T00:00:00.000Z"
      for (
        const cursor of [
          "",
          "x",
          "1",
          id,
          "%00",
          "%F0%9F%98%80",
          "x".repeat(5000),
          encoded("nonsense"),
          encoded("{}"),
          encoded("null"),
          encoded(JSON.stringify({ list: "users" })),
          encoded(JSON.stringify({ list: "users", after: null })),
          ...["x", "\u0000", id.slice(1)].map((id) =>
            encoded(JSON.stringify({ list: "users", after: { createdAt: instant, id } }))
          ),
          ...[0, 1e300, null, "", "infinity", "-infinity", "2026-02-30T00:00:00Z", "now"].map(
            (createdAt) => encoded(JSON.stringify({ list: "users", after: { createdAt, id } })),
          ),
        ]
      ) {
        for (const path of ["/v1/users", `${user}/refresh-tokens`, `${user}/sessions`]) {
          assertInvalid(yield* get(`${path}?cursor=${cursor}`), "cursor")
        }
      }
    }))

  it.effect("refuse the cursor of another list", () =>
    Effect.gen(function* () {
      const [userId, other] = [yield* aNewUserId, yield* aNewUserId]
      const tokens = (id: string) => `/v1/users/${id}/refresh-tokens`
      for (const id of [userId, userId, other, other]) yield* createToken({ userId: id })
      const cursorOf = (path: string) =>
        Effect.map(get(joined(path, "limit=1")), (answer) => assertPage(answer).nextCursor)
      const lists = [
        "/v1/users",
        tokens(userId),
        `${tokens(userId)}?active=true`,
        tokens(other),
        `/v1/users/${userId}/sessions`,
        `/v1/users/${other}/sessions`,
      ]
      for (const from of lists) {
        const cursor = yield* cursorOf(from)
        assert.isString(cursor)
        for (const to of lists) {
          const answer = yield* get(joined(to, `cursor=${cursor}`))
          if (to === from) assertPage(answer)
          else assertInvalid(answer, "cursor")
        }
      }
    }))

  it.effect("take another limit on the way", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const created = yield* createEach(4, () => createToken({ userId }))
      const path = `/v1/users/${userId}/refresh-tokens`
      const first = assertPage(yield* get(`${path}?limit=1`))
      const rest = assertPage(yield* get(`${path}?limit=3&cursor=${first.nextCursor}`))
      assert.deepStrictEqual([...ids(first.items), ...ids(rest.items)], created)
      assert.isNull(rest.nextCursor)
    }))
})
