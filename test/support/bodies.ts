/**
 * Valid request bodies that differ from each other, and rows created by sending them.
 */
import { Effect } from "effect"
import { assertJson, type JsonObject, stringAt } from "./answers.ts"
import { post } from "./calls.ts"
import { aGoogleId, anEmail, aTokenHash } from "./factories.ts"

export const aUserBody = (overrides: JsonObject = {}): JsonObject => ({
  email: anEmail(),
  authProvider: "email",
  passwordHash: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
  ...overrides,
})

export const aGoogleUserBody = (overrides: JsonObject = {}): JsonObject => ({
  email: anEmail(),
  authProvider: "google",
  googleId: aGoogleId(),
  ...overrides,
})

export const aSuccessorBody = (overrides: JsonObject = {}): JsonObject => ({
  tokenHash: aTokenHash(),
  expiresAt: "2099-12-31T23:59:59.000Z",
  ...overrides,
})

export const aTokenBody = (userId: string, overrides: JsonObject = {}): JsonObject => ({
  userId,
  ...aSuccessorBody(overrides),
})

export const anAttemptBody = (overrides: JsonObject = {}): JsonObject => ({
  email: anEmail(),
  ipAddress: "192.0.2.1",
  success: false,
  ...overrides,
})

const create = Effect.fnUntraced(function* (path: string, body: JsonObject) {
  return assertJson(yield* post(path, body), 201)
})

export const createUser = (overrides?: JsonObject) => create("/v1/users", aUserBody(overrides))
export const createGoogleUser = (overrides?: JsonObject) =>
  create("/v1/users", aGoogleUserBody(overrides))
export const createAttempt = (overrides?: JsonObject) =>
  create("/v1/login-attempts", anAttemptBody(overrides))

/** The id of a user of its own. */
export const aNewUserId = Effect.suspend(() =>
  Effect.map(createUser(), (user) => stringAt(user, "id"))
)

/** A token of the user, or of one of its own. */
export const createToken = Effect.fnUntraced(function* (overrides: JsonObject = {}) {
  const userId = overrides["userId"] ?? (yield* aNewUserId)
  return yield* create("/v1/refresh-tokens", aTokenBody(String(userId), overrides))
})
