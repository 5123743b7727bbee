// What Ajv checks of requests, and what fast-json-stringify makes of rows.

const uuid = { type: "string", format: "uuid" }
const email = { type: "string", format: "email", maxLength: 254 }
const instant = { type: "string", format: "date-time" }
const nullable = (schema) => ({ ...schema, type: [schema.type, "null"] })
const text = (maxLength) => ({ type: "string", minLength: 1, maxLength })
const ipAddress = {
  anyOf: [{ type: "string", format: "ipv4" }, { type: "string", format: "ipv6" }],
}

const object = (properties, required = Object.keys(properties)) => ({
  type: "object",
  additionalProperties: false,
  properties,
  required,
})

export const userParams = object({ id: uuid })
export const emailParams = object({ email })
export const tokenParams = object({ tokenHash: text(512) })
export const failuresQuery = object({
  minutes: { type: "integer", minimum: 1, maximum: 43200, default: 15 },
}, [])

export const newUser = object({
  email,
  authProvider: { enum: ["email", "google"] },
  passwordHash: nullable(text(1024)),
  googleId: nullable(text(255)),
  fullName: nullable(text(200)),
  isActive: { type: "boolean", default: true },
}, ["email", "authProvider"])

const successor = {
  tokenHash: text(512),
  expiresAt: instant,
  userAgent: nullable(text(1024)),
  ipAddress: { anyOf: [...ipAddress.anyOf, { type: "null" }] },
}
export const newSuccessor = object(successor, ["tokenHash", "expiresAt"])
export const newToken = object({ userId: uuid, ...successor }, ["userId", "tokenHash", "expiresAt"])

export const newAttempt = object({
  userId: nullable(uuid),
  email,
  ipAddress,
  userAgent: nullable(text(1024)),
  success: { type: "boolean" },
  failureReason: nullable(text(256)),
}, ["email", "ipAddress", "success"])

export const include = object({ include: { enum: ["user"] } }, [])

export const attemptToBegin = object({
  email,
  ipAddress,
  userAgent: nullable(text(1024)),
  limits: {
    type: "array",
    maxItems: 8,
    default: [],
    items: object({
      by: { enum: ["email", "ipAddress"] },
      failures: { type: "integer", minimum: 1, maximum: 10_000 },
      minutes: { type: "integer", minimum: 1, maximum: 43_200 },
    }),
  },
}, ["email", "ipAddress"])
export const includeCredentials = object({ include: { enum: ["credentials"] } }, [])

const completionProperties = {
  success: { type: "boolean" },
  failureReason: nullable(text(256)),
  refreshToken: nullable(object(
    { userId: uuid, ...successor, userVersion: nullable(text(64)) },
    ["userId", "tokenHash", "expiresAt"],
  )),
}
export const completion = {
  ...object(completionProperties, ["success"]),
  // A failure begins no session.
  if: { properties: { success: { const: false } } },
  then: { properties: { refreshToken: { type: "null" } } },
}

export const userChanges = object({
  passwordHash: text(1024),
  revokeSessions: nullable(object({
    reason: { type: "string", pattern: "^[a-z][a-z0-9-]{0,63}$", default: "credentials-changed" },
    exceptSessionId: nullable(uuid),
  }, [])),
}, ["passwordHash"])

const string = { type: "string" }
const nullableString = nullable(string)

export const user = object({
  id: string,
  email: string,
  fullName: nullableString,
  authProvider: string,
  googleId: nullableString,
  isActive: { type: "boolean" },
  emailVerifiedAt: nullable(instant),
  createdAt: instant,
  updatedAt: instant,
})

const tokenProperties = {
  id: string,
  userId: string,
  tokenHash: string,
  expiresAt: instant,
  createdAt: instant,
  revokedAt: nullable(instant),
  userAgent: nullableString,
  ipAddress: nullableString,
  sessionId: string,
  signedInAt: instant,
  sessionExpiresAt: nullable(instant),
  revokedReason: nullableString,
  isValid: { type: "boolean" },
}
export const token = object(tokenProperties)
export const tokenWithUser = object({ ...tokenProperties, user }, Object.keys(tokenProperties))

export const attempt = object({
  id: string,
  userId: nullableString,
  email: string,
  ipAddress: string,
  userAgent: nullableString,
  success: { type: "boolean" },
  failureReason: nullableString,
  attemptedAt: instant,
  pending: { type: "boolean" },
})

const integer = { type: "integer" }

export const begun = object({
  attempt,
  counts: {
    type: "array",
    items: object({ by: string, minutes: integer, failures: integer, count: integer }),
  },
  knownSource: { type: "boolean" },
  user: nullable(object({
    userId: string,
    email: string,
    authProvider: string,
    passwordHash: nullableString,
    googleId: nullableString,
    isActive: { type: "boolean" },
    version: string,
  })),
}, ["attempt", "counts", "knownSource"])

export const completed = object({ attempt, refreshToken: nullable(token) })

export const failures = object({ count: { type: "integer" } })
