import { assert, layer } from "@effect/vitest"
import { Effect, Layer, References } from "effect"
import { SqlClient } from "effect/sql"
import { type Answer, assertProblem, type JsonObject } from "../support/answers.ts"
import { atOnce } from "../support/atOnce.ts"
import { aGoogleUserBody, aSuccessorBody, aTokenBody, aUserBody } from "../support/bodies.ts"
import { call, get, patch, post } from "../support/calls.ts"
import { CapturedTelemetry } from "../support/CapturedTelemetry.ts"
import { keyWith, testService } from "../support/TestService.ts"

/** Part of every value that is sent here, so that it can be found wherever it turns up. */
const marker = "Hidden0f"

const aSecret = () => `${marker}-${crypto.randomUUID()}`
const anAddress = () => `${aSecret()}@example.com`

const aSecretUser = (overrides = {}) =>
  aUserBody({
    email: anAddress(),
    passwordHash: aSecret(),
    fullName: aSecret(),
    googleId: aSecret(),
    ...overrides,
  })

const aSecretToken = (userId: unknown) =>
  aTokenBody(String(userId), { tokenHash: aSecret(), userAgent: aSecret() })

const signIn = (googleId: string, json: JsonObject) =>
  call("PUT", `/v1/users/by-google-id/${googleId}`, { json })

const assertSilent = (answer: Answer) => {
  assert.isAtLeast(answer.status, 400, answer.text)
  for (const text of [answer.text, ...Object.values(answer.headers)]) {
    assert.notInclude(text.toLowerCase(), marker.toLowerCase())
  }
}

const assertNothingTold = Effect.gen(function* () {
  const { logs, spans } = yield* CapturedTelemetry
  if (yield* References.TracerEnabled) assert.include(yield* spans, '["http.route","/v1/')
  const metrics = yield* get("/metrics")
  for (const told of [yield* logs, yield* spans, metrics.text]) {
    const at = told.toLowerCase().indexOf(marker.toLowerCase())
    assert.strictEqual(at, -1, told.slice(Math.max(0, at - 500), at + 100))
    assert.notInclude(told, keyWith("*"))
  }
})

const captured = (isTraced: boolean) =>
  testService({}, { isTraced }).pipe(Layer.provideMerge(CapturedTelemetry.layer))

// The two ways of a request: through the router, and directly.
const ways = [["traced", captured(true)], ["untraced", captured(false)]] as const

ways.forEach(([way, Captured]) =>
  layer(Captured)(`secrets, ${way},`, (it) => {
    it.effect("are told by no answer but the one that is asked for them", () =>
      Effect.gen(function* () {
        const body = aSecretUser()
        const created = yield* post("/v1/users", body)
        assert.strictEqual(created.status, 201)
        const path = `/v1/users/${created.json["id"]}`
        const { passwordHash } = body
        const token = aSecretToken(created.json["id"])
        assert.strictEqual((yield* post("/v1/refresh-tokens", token)).status, 201)
        for (
          const answer of [
            created,
            yield* get(path),
            yield* get(`/v1/users/by-email/${body["email"]}`),
            yield* get(`/v1/users/by-google-id/${body["googleId"]}`),
            yield* get("/v1/users?limit=100"),
            yield* patch(path, { fullName: "Ada" }),
            yield* signIn(String(body["googleId"]), { email: body["email"], emailVerified: true }),
            yield* get(`/v1/refresh-tokens/${token["tokenHash"]}/valid?include=user`),
            yield* post(
              `/v1/refresh-tokens/${token["tokenHash"]}/rotate?include=user`,
              aSuccessorBody({ tokenHash: aSecret() }),
            ),
          ]
        ) {
          assert.include([200, 201], answer.status)
          assert.notInclude(answer.text, String(passwordHash))
          assert.notInclude(answer.text, "passwordHash")
        }
        const credentials = yield* get(`${path}/credentials`)
        assert.strictEqual(credentials.json["passwordHash"], passwordHash)
        yield* assertNothingTold
      }))

    it.effect("are in no refusal, log line, span or metric", () =>
      Effect.gen(function* () {
        const body = aSecretUser()
        const { json: { id } } = yield* post("/v1/users", body)
        const token = aSecretToken(id)
        assert.strictEqual((yield* post("/v1/refresh-tokens", token)).status, 201)
        const tokenPath = `/v1/refresh-tokens/${token["tokenHash"]}`
        const rotation = yield* post(
          `${tokenPath}/rotate`,
          aSuccessorBody({ tokenHash: aSecret() }),
        )
        assert.strictEqual(rotation.status, 201)

        for (
          const answer of [
            yield* post("/v1/users", body),
            yield* post("/v1/users", { ...body, email: anAddress() }),
            yield* post("/v1/users", {
              email: anAddress(),
              authProvider: "email",
              googleId: aSecret(),
            }),
            yield* patch(`/v1/users/${id}`, { passwordHash: null, fullName: aSecret() }),
            yield* post("/v1/users", aSecretUser({ passwordHash: `${aSecret()}\u0000` })),
            yield* post("/v1/users", aSecretUser({ passwordHash: aSecret().repeat(40) })),
            yield* post("/v1/users", aSecretUser({ passwordHash: [aSecret()] })),
            yield* post("/v1/users", aSecretUser({ authProvider: aSecret() })),
            yield* post("/v1/users", aSecretUser({ unknown: aSecret() })),
            yield* post("/v1/users", aSecretUser({ [aSecret()]: 1 })),
            yield* post("/v1/users", [aSecret()]),
            yield* post("/v1/users", aSecret()),
            yield* call("POST", "/v1/users", {
              body: `{"passwordHash":"${aSecret()}",`,
              headers: { "content-type": "application/json" },
            }),
            yield* call("POST", "/v1/users", {
              body: aSecret(),
              headers: { "content-type": "text/plain" },
            }),
            yield* call("POST", "/v1/users", {
              body: aSecret(),
              headers: { "content-type": `application/${marker}` },
            }),
            yield* post("/v1/users", body, { headers: { "idempotency-key": aSecret() } }),
            yield* patch(`/v1/users/${id}`, {}, { headers: { "if-match": aSecret() } }),
            yield* post("/v1/refresh-tokens", token),
            yield* post("/v1/refresh-tokens", aSecretToken(crypto.randomUUID())),
            yield* post("/v1/refresh-tokens", { ...aSecretToken(id), expiresAt: aSecret() }),
            yield* post("/v1/refresh-tokens", { ...aSecretToken(id), ipAddress: aSecret() }),
            yield* post("/v1/refresh-tokens", { ...aSecretToken(id), userVersion: aSecret() }),
            yield* post("/v1/refresh-tokens", { ...aSecretToken(id), onLimit: aSecret() }),
            yield* post(`${tokenPath}/rotate`, aSuccessorBody({ tokenHash: aSecret() })),
            yield* post(`${tokenPath}/rotate`, aSuccessorBody({ onReuse: aSecret() })),
            yield* post(`${tokenPath}/revoke`, { reason: aSecret() }),
            yield* post(`/v1/users/${id}/refresh-tokens/revoke`, { exceptSessionId: aSecret() }),
            yield* post(`/v1/users/${id}/sessions/${aSecret()}/revoke`, {}),
            yield* get(`/v1/users/${id}/sessions?cursor=${aSecret()}`),
            yield* get(`${tokenPath}/valid?include=${aSecret()}`),
            yield* patch(`/v1/users/${id}`, { revokeSessions: { reason: aSecret() } }),
            yield* patch(`/v1/users/${id}`, { emailVerifiedAt: aSecret() }),
            yield* signIn(aSecret(), { email: body["email"], emailVerified: false }),
            yield* signIn(aSecret(), { email: anAddress(), emailVerified: aSecret() }),
            yield* get(`/v1/refresh-tokens/${aSecret()}`),
            yield* get(`${tokenPath}/valid`),
            yield* get(`${tokenPath}/nowhere`),
            yield* call("PUT", tokenPath),
            yield* get(`/v1/users/by-email/${anAddress()}`),
            yield* get(`/v1/users/by-email/${aSecret()}`),
            yield* get(`/v1/users/by-google-id/${aSecret()}`),
            yield* get(`/v1/users?cursor=${aSecret()}`),
            yield* get(`/v1/users?${aSecret()}=1`),
            yield* get(`/${aSecret()}`),
            yield* get("/v1/users", { key: aSecret() }),
            yield* get(`/v1/users/${id}`, { key: keyWith("tokens:read") }),
          ]
        ) {
          assertSilent(answer)
        }
        yield* assertNothingTold
      }))

    it.effect("are not told when the database fails in a way that nobody foresaw", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { logs } = yield* CapturedTelemetry
        const { json: { id } } = yield* post("/v1/users", aSecretUser())
        const refuse = (table: string) =>
          sql`
          ALTER TABLE ${sql(table)}
          ADD CONSTRAINT ${sql(`${table}_surprise_check`)} CHECK (user_agent IS NULL) NOT VALID`
        yield* sql`
        ALTER TABLE users
        ADD CONSTRAINT users_surprise_check CHECK (full_name IS NULL) NOT VALID`
        yield* refuse("refresh_tokens")
        yield* refuse("login_attempts")

        const attempt = {
          email: anAddress(),
          ipAddress: "192.0.2.1",
          userAgent: aSecret(),
          success: false,
        }
        for (
          const answer of [
            yield* post("/v1/users", aSecretUser()),
            yield* patch(`/v1/users/${id}`, { passwordHash: aSecret() }),
            yield* post("/v1/refresh-tokens", aSecretToken(id)),
            yield* post("/v1/login-attempts", attempt),
          ]
        ) {
          assertProblem(answer, 500, "internal-error")
          assertSilent(answer)
        }
        for (const table of ["users", "refresh_tokens", "login_attempts"]) {
          assert.include(yield* logs, `${table}_surprise_check`)
        }
        for (const table of ["users", "refresh_tokens", "login_attempts"]) {
          yield* sql`ALTER TABLE ${sql(table)} DROP CONSTRAINT ${sql(`${table}_surprise_check`)}`
        }
        yield* assertNothingTold
      }))

    it.effect("are not told when the database itself tells of them in words", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { logs, spans } = yield* CapturedTelemetry
        const { json: { id } } = yield* post("/v1/users", aSecretUser())
        const token = aSecretToken(id)
        const { json: { sessionId } } = yield* post("/v1/refresh-tokens", token)
        const tokenPath = `/v1/refresh-tokens/${token["tokenHash"]}`
        yield* sql`
        CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          RAISE EXCEPTION '%', COALESCE(NEW, OLD)::text
          USING DETAIL = COALESCE(NEW, OLD)::text, HINT = COALESCE(NEW, OLD)::text;
        END $$`
        for (const table of ["users", "refresh_tokens", "login_attempts"]) {
          yield* sql`
          CREATE TRIGGER tell BEFORE INSERT OR UPDATE OR DELETE ON ${sql(table)}
          FOR EACH ROW EXECUTE FUNCTION tell()`
        }
        const attempt = () => ({
          userId: id,
          email: anAddress(),
          ipAddress: "192.0.2.1",
          userAgent: aSecret(),
          success: false,
        })
        // Alone, in groups, with a key, and as parts of transactions.
        const withKey = () => ({ headers: { "idempotency-key": crypto.randomUUID() } })
        const answers = yield* atOnce(
          Array.from({ length: 4 }).flatMap(() => [
            post("/v1/users", aSecretUser()),
            post("/v1/users", aSecretUser(), withKey()),
            patch(`/v1/users/${id}`, { passwordHash: aSecret() }),
            patch(`/v1/users/${id}`, { passwordHash: aSecret(), revokeSessions: {} }),
            patch(`/v1/users/${id}`, { isActive: false }),
            signIn(aSecret(), { email: anAddress(), emailVerified: true, fullName: aSecret() }),
            call("DELETE", `/v1/users/${id}`),
            post("/v1/refresh-tokens", aSecretToken(id)),
            post("/v1/refresh-tokens", aSecretToken(id), withKey()),
            post("/v1/refresh-tokens", { ...aSecretToken(id), maxSessions: 1 }),
            post(`${tokenPath}/rotate`, aSuccessorBody({ tokenHash: aSecret() })),
            post(`${tokenPath}/rotate?include=user`, aSuccessorBody({ tokenHash: aSecret() })),
            post(`${tokenPath}/revoke`, {}),
            post(`/v1/users/${id}/refresh-tokens/revoke`, {}),
            post(`/v1/users/${id}/sessions/${sessionId}/revoke`, {}),
            post("/v1/login-attempts", attempt()),
            post("/v1/login-attempts", attempt(), withKey()),
          ]),
        )
        // Of two at once, the second waits, and is then sent alone.
        const pairs = yield* Effect.forEach([
          () => post("/v1/users", aSecretUser()),
          () => post("/v1/refresh-tokens", aSecretToken(id)),
          () => post("/v1/login-attempts", attempt()),
        ], (send) => atOnce([send(), send()]))
        for (const answer of [...answers, ...pairs.flat()]) {
          assertProblem(answer, 500, "internal-error")
          assertSilent(answer)
        }
        for (const table of ["users", "refresh_tokens", "login_attempts"]) {
          yield* sql`DROP TRIGGER tell ON ${sql(table)}`
        }
        yield* sql`DROP FUNCTION tell`
        assert.include(yield* logs, "P0001")
        if (yield* References.TracerEnabled) assert.include(yield* spans, "P0001")
        yield* assertNothingTold
      }))

    it.effect("are not told when a table is gone", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { logs } = yield* CapturedTelemetry
        yield* sql`ALTER TABLE login_attempts RENAME COLUMN failure_reason TO reason`
        const answer = yield* post("/v1/login-attempts", {
          email: anAddress(),
          ipAddress: "192.0.2.1",
          success: false,
          failureReason: aSecret(),
        })
        assertProblem(answer, 500, "internal-error")
        assertSilent(answer)
        yield* sql`ALTER TABLE login_attempts RENAME COLUMN reason TO failure_reason`
        assert.include(yield* logs, "42703")
        yield* assertNothingTold
      }))

    it.effect("of a user who signs in with Google are no exception", () =>
      Effect.gen(function* () {
        const body = aGoogleUserBody({ email: anAddress(), googleId: aSecret() })
        yield* post("/v1/users", body)
        const taken = yield* post("/v1/users", { ...body, email: anAddress() })
        assertProblem(taken, 409, "google-id-taken")
        assertSilent(taken)
        yield* assertNothingTold
      }))
  })
)

layer(captured(true))("the span of a request", (it) => {
  it.effect("tells its method, route and status, and nothing that the URL holds", () =>
    Effect.gen(function* () {
      const { spans } = yield* CapturedTelemetry
      yield* get(`/v1/refresh-tokens/${aSecret()}/valid`)
      const told = (yield* spans).split("\n").find((span) => span.includes("/valid"))
      assert.strictEqual(
        told?.trim().replace(/(?<="server.port",)\d+/, "PORT")
          .replace(/(?<=x-request-id",\[")[-0-9a-f]{36}/, "ID"),
        "GET /v1/refresh-tokens/{tokenHash}/valid " +
          '[["http.request.method","GET"],' +
          '["http.route","/v1/refresh-tokens/{tokenHash}/valid"],' +
          '["url.scheme","http"],["network.protocol.version","1.1"],' +
          '["server.address","127.0.0.1"],["server.port",PORT],' +
          '["http.response.status_code",404],["http.response.header.x-request-id",["ID"]]]',
      )
    }))
})

ways.forEach(([way, Captured]) =>
  layer(Captured)(`secrets in rows that no writer of the service made, ${way},`, (it) => {
    it.effect("are not told when a row is not what the service expects", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const email = anAddress()
        yield* sql`ALTER TYPE auth_provider_enum ADD VALUE 'github'`
        yield* sql`ALTER TABLE users DROP CONSTRAINT users_auth_provider_check`
        yield* sql`
        INSERT INTO users (email, full_name, password_hash, auth_provider)
        VALUES (${email}, ${aSecret()}, ${aSecret()}, 'github')`
        for (
          const path of [`/v1/users/by-email/${email}`, `/v1/users/by-email/${email}/credentials`]
        ) {
          const answer = yield* get(path)
          assertProblem(answer, 500, "internal-error")
          assertSilent(answer)
        }
        yield* assertNothingTold
      }))
  })
)
