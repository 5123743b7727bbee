/**
 * Who may call the service: named keys, of which only the SHA-256 is known here, and what each may do.
 */
import { Schema } from "effect"

/** What a key may do. `*` is every scope, including those that later versions add. */
export const Scope = Schema.Literals([
  "users:read",
  "users:write",
  "credentials:read",
  "tokens:read",
  "tokens:write",
  "attempts:read",
  "attempts:write",
  "maintenance",
  "*",
])
export type Scope = typeof Scope.Type

/**
 * One entry of `API_KEYS`. Several entries may carry the same name, so that a client's key can be
 * replaced without a moment in which neither works.
 *
 * A plain SHA-256 is enough because keys are random and long, unlike passwords (OWASP Cryptographic
 * Storage Cheat Sheet: slow hashes are for low-entropy secrets).
 */
export class ApiKey extends Schema.Class<ApiKey>("ApiKey")({
  name: Schema.NonEmptyString.check(Schema.isMaxLength(100)),
  sha256: Schema.String.check(
    Schema.isPattern(/^[0-9a-fA-F]{64}$/, { expected: "64 hexadecimal digits" }),
  ),
  scopes: Schema.Array(Scope),
}) {}
