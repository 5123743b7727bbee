/**
 * The routes that clients may rely on, written down a second time: a test that took them from the
 * API could not see a wrong one.
 */
import type { Scope } from "../../src/domain/ApiKey.ts"

export interface ContractRoute {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  /** As in the OpenAPI document. */
  readonly path: string
  /** None for routes that need no key. */
  readonly scope?: Scope
  readonly success: number | ReadonlyArray<number>
  /** Beyond 400, 401, 403 and 503, which every route under /v1 has. */
  readonly errors: ReadonlyArray<number>
  /** A body that its schema takes. */
  readonly body?: Readonly<Record<string, unknown>>
}

const newToken = { tokenHash: "hash", expiresAt: "2099-01-01T00:00:00Z" }

export const contractRoutes: ReadonlyArray<ContractRoute> = [
  {
    method: "POST",
    path: "/v1/users",
    scope: "users:write",
    success: 201,
    errors: [409, 413, 415, 422],
    body: { email: "ada@example.com", authProvider: "google" },
  },
  { method: "GET", path: "/v1/users", scope: "users:read", success: 200, errors: [] },
  { method: "GET", path: "/v1/users/count", scope: "users:read", success: 200, errors: [] },
  {
    method: "POST",
    path: "/v1/users/lookup",
    scope: "users:read",
    success: 200,
    errors: [413, 415],
    body: { emails: ["ada@example.com"] },
  },
  {
    method: "GET",
    path: "/v1/users/{id}",
    scope: "users:read",
    success: [200, 304],
    errors: [404],
  },
  {
    method: "GET",
    path: "/v1/users/by-email/{email}",
    scope: "users:read",
    success: [200, 304],
    errors: [404],
  },
  {
    method: "GET",
    path: "/v1/users/by-google-id/{googleId}",
    scope: "users:read",
    success: [200, 304],
    errors: [404],
  },
  {
    method: "PUT",
    path: "/v1/users/by-google-id/{googleId}",
    scope: "users:write",
    success: [200, 201],
    errors: [409, 413, 415],
    body: { email: "ada@example.com", emailVerified: false },
  },
  {
    method: "GET",
    path: "/v1/users/{id}/credentials",
    scope: "credentials:read",
    success: [200, 304],
    errors: [404],
  },
  {
    method: "GET",
    path: "/v1/users/by-email/{email}/credentials",
    scope: "credentials:read",
    success: [200, 304],
    errors: [404],
  },
  {
    method: "PATCH",
    path: "/v1/users/{id}",
    scope: "users:write",
    success: 200,
    errors: [404, 409, 412, 413, 415, 422],
    body: {},
  },
  {
    method: "DELETE",
    path: "/v1/users/{id}",
    scope: "users:write",
    success: 204,
    errors: [404, 412],
  },
  {
    method: "POST",
    path: "/v1/refresh-tokens",
    scope: "tokens:write",
    success: 201,
    errors: [409, 412, 413, 415, 422],
    body: { userId: "00000000-0000-4000-8000-000000000000", ...newToken },
  },
  {
    method: "GET",
    path: "/v1/refresh-tokens/{tokenHash}",
    scope: "tokens:read",
    success: 200,
    errors: [404],
  },
  {
    method: "GET",
    path: "/v1/refresh-tokens/{tokenHash}/valid",
    scope: "tokens:read",
    success: 200,
    errors: [404],
  },
  {
    method: "POST",
    path: "/v1/refresh-tokens/{tokenHash}/revoke",
    scope: "tokens:write",
    success: 200,
    errors: [404, 413, 415],
    body: {},
  },
  {
    method: "POST",
    path: "/v1/refresh-tokens/{tokenHash}/rotate",
    scope: "tokens:write",
    success: 201,
    errors: [404, 409, 410, 413, 415, 422],
    body: newToken,
  },
  {
    method: "GET",
    path: "/v1/users/{id}/refresh-tokens",
    scope: "tokens:read",
    success: 200,
    errors: [404],
  },
  {
    method: "POST",
    path: "/v1/users/{id}/refresh-tokens/revoke",
    scope: "tokens:write",
    success: 200,
    errors: [404, 413, 415],
    body: {},
  },
  {
    method: "GET",
    path: "/v1/users/{id}/sessions",
    scope: "tokens:read",
    success: 200,
    errors: [404],
  },
  {
    method: "POST",
    path: "/v1/users/{id}/sessions/{sessionId}/revoke",
    scope: "tokens:write",
    success: 200,
    errors: [404, 413, 415],
    body: {},
  },
  {
    method: "POST",
    path: "/v1/login-attempts",
    scope: "attempts:write",
    success: 201,
    errors: [413, 415, 422],
    body: { email: "ada@example.com", ipAddress: "192.0.2.1", success: true },
  },
  {
    method: "POST",
    path: "/v1/login-attempts/begin",
    scope: "attempts:write",
    success: 201,
    errors: [413, 415, 422, 429],
    body: { email: "ada@example.com", ipAddress: "192.0.2.1" },
  },
  {
    method: "POST",
    path: "/v1/login-attempts/{id}/complete",
    scope: "attempts:write",
    success: 200,
    errors: [404, 409, 412, 413, 415, 422],
    body: { success: false },
  },
  {
    method: "GET",
    path: "/v1/login-attempts",
    scope: "attempts:read",
    success: 200,
    errors: [],
  },
  {
    method: "GET",
    path: "/v1/users/{id}/login-attempts",
    scope: "attempts:read",
    success: 200,
    errors: [404],
  },
  {
    method: "POST",
    path: "/v1/users/{id}/login-attempts/forgive",
    scope: "attempts:write",
    success: 200,
    errors: [404, 413, 415],
    body: {},
  },
  {
    method: "GET",
    path: "/v1/users/{id}/login-attempts/recent-failures",
    scope: "attempts:read",
    success: 200,
    errors: [404],
  },
  {
    method: "GET",
    path: "/v1/login-attempts/recent-failures",
    scope: "attempts:read",
    success: 200,
    errors: [],
  },
  {
    method: "POST",
    path: "/v1/maintenance/delete-expired-tokens",
    scope: "maintenance",
    success: 200,
    errors: [413, 415],
    body: { olderThanDays: 36_500 },
  },
  {
    method: "POST",
    path: "/v1/maintenance/delete-old-login-attempts",
    scope: "maintenance",
    success: 200,
    errors: [413, 415],
    body: { olderThanDays: 36_500 },
  },
  { method: "GET", path: "/livez", success: 200, errors: [] },
  { method: "GET", path: "/readyz", success: 200, errors: [503] },
  { method: "GET", path: "/metrics", success: 200, errors: [] },
]

/** The routes under /v1. */
export const keyedRoutes = contractRoutes.filter(({ scope }) => scope !== undefined)

/** A target that a route's path schema takes, and that names nothing that is there. */
export const targetOf = ({ path }: ContractRoute): string =>
  path
    .replace("{id}", crypto.randomUUID())
    .replace("{sessionId}", crypto.randomUUID())
    .replace("{email}", `nobody-${crypto.randomUUID()}@example.com`)
    .replace("{googleId}", crypto.randomUUID())
    .replace("{tokenHash}", crypto.randomUUID())
