import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { type Answer, assertProblem } from "../../support/answers.ts"
import {
  anAttemptBody,
  aNewUserId,
  aSuccessorBody,
  aTokenBody,
  createToken,
  createUser,
} from "../../support/bodies.ts"
import { call, get, patch, post } from "../../support/calls.ts"
import { anEmail } from "../../support/factories.ts"
import { TestService } from "../../support/TestService.ts"

const nobody = "00000000-0000-4000-8000-00000000dead"

const words = (text: string): ReadonlyArray<string> => text.toLowerCase().match(/[a-z]{4,}/g) ?? []

layer(TestService)("the detail of a problem", (it) => {
  it.effect("is the same on every route for the same problem", () =>
    Effect.gen(function* () {
      const user = `/v1/users/${nobody}`
      const missingUsers = [
        yield* get(user),
        yield* patch(user, {}),
        yield* call("DELETE", user),
        yield* get(`${user}/credentials`),
        yield* get(`/v1/users/by-email/${anEmail()}`),
        yield* get(`${user}/refresh-tokens`),
        yield* post(`${user}/refresh-tokens/revoke`, {}),
        yield* get(`${user}/login-attempts/recent-failures`),
      ]
      const unknownUsers = [
        yield* post("/v1/refresh-tokens", aTokenBody(nobody)),
        yield* post("/v1/login-attempts", anAttemptBody({ userId: nobody })),
      ]
      const token = "/v1/refresh-tokens/nothing"
      const missingTokens = [
        yield* get(token),
        yield* get(`${token}/valid`),
        yield* post(`${token}/revoke`, {}),
        yield* post(`${token}/rotate`, aSuccessorBody()),
      ]
      for (const answers of [missingUsers, unknownUsers, missingTokens]) {
        for (const { json } of answers) assert.deepStrictEqual(json, answers[0]?.json)
      }
    }))

  it.effect("says more than the title, or is absent", () =>
    Effect.gen(function* () {
      const { email } = yield* createUser()
      const userId = yield* aNewUserId
      const { tokenHash } = yield* createToken({ userId })
      const path = `/v1/refresh-tokens/${tokenHash}/rotate`
      const taken = { email, authProvider: "email", passwordHash: "hash" }
      const headers = { "idempotency-key": crypto.randomUUID() }
      yield* post("/v1/refresh-tokens", aTokenBody(userId), { headers })
      const answers: ReadonlyArray<readonly [number, string, Answer]> = [
        [404, "user-not-found", yield* get(`/v1/users/${nobody}`)],
        [404, "refresh-token-not-found", yield* get("/v1/refresh-tokens/nothing")],
        [409, "email-taken", yield* post("/v1/users", taken)],
        [422, "credentials-missing", yield* patch(`/v1/users/${userId}`, { passwordHash: null })],
        [
          409,
          "token-hash-taken",
          yield* post("/v1/refresh-tokens", aTokenBody(userId, { tokenHash })),
        ],
        [
          422,
          "idempotency-key-reused",
          yield* post("/v1/refresh-tokens", aTokenBody(userId), { headers }),
        ],
        [
          412,
          "precondition-failed",
          yield* patch(`/v1/users/${userId}`, {}, { headers: { "if-match": '"0"' } }),
        ],
        [
          409,
          "refresh-token-reused",
          yield* post(path, aSuccessorBody()).pipe(Effect.andThen(post(path, aSuccessorBody()))),
        ],
        [401, "unauthorized", yield* get("/v1/users", { key: null })],
        [404, "not-found", yield* get("/v1/nothing")],
        [405, "method-not-allowed", yield* call("PUT", "/v1/users")],
      ]
      for (const [status, name, answer] of answers) {
        const { title, detail } = assertProblem(answer, status, name)
        if (detail === undefined) continue
        const more = words(detail).filter((word) => !words(title).includes(word))
        assert.isAtLeast(more.length, 3, `${title}: ${detail}`)
      }
    }))
})
