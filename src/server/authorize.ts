/**
 * Who may use an endpoint.
 */
import { Option } from "effect"
import { Forbidden, Unauthorized } from "../api/problems.ts"
import type { ApiKey, Scope } from "../domain/ApiKey.ts"
import { type ApiKeys, mayUse } from "../operations/ApiKeys.ts"

export const unauthorized = new Unauthorized({})
export const forbidden = new Forbidden({})

/** Why the bearer of a key may not use an endpoint, if so. One that names no scope is open to nobody. */
export const refuseCaller = (
  key: Option.Option<ApiKey>,
  scope: Option.Option<Scope>,
): Unauthorized | Forbidden | undefined => {
  if (Option.isNone(key)) return unauthorized
  return Option.isSome(scope) && mayUse(key.value, scope.value) ? undefined : forbidden
}

/** The text of the key of `Authorization: Bearer`; schemes have no case (RFC 9110, 11.1). */
export const bearerOf = (authorization: string | undefined): string | undefined =>
  authorization === undefined ? undefined : /^bearer +([^ ].*)$/i.exec(authorization)?.[1]

/** The key that an `Authorization` header names, if it is known; faster on the connection that brought it before. */
export const callerOf = (
  keys: ApiKeys["Service"],
  authorization: string | undefined,
  connection?: object,
): Option.Option<ApiKey> => {
  const bearer = bearerOf(authorization)
  return bearer === undefined ? Option.none() : keys.find(bearer, connection)
}
