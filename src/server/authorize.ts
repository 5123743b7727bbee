/**
 * Who may use an endpoint.
 */
import { Option } from "effect"
import { Forbidden, Unauthorized } from "../api/problems.ts"
import type { Scope } from "../domain/ApiKey.ts"
import { type ApiKeys, mayUse } from "../operations/ApiKeys.ts"

export const unauthorized = new Unauthorized({})
export const forbidden = new Forbidden({})

/**
 * Why the bearer of a key may not use an endpoint, if so. One that names no scope is open to nobody.
 * A key is found faster on the connection that brought it before.
 */
export const refuseCaller = (
  keys: ApiKeys["Service"],
  scope: Option.Option<Scope>,
  bearer: string | undefined,
  connection?: object,
): Unauthorized | Forbidden | undefined => {
  const key = bearer === undefined ? Option.none() : keys.find(bearer, connection)
  if (Option.isNone(key)) return unauthorized
  return Option.isSome(scope) && mayUse(key.value, scope.value) ? undefined : forbidden
}

/** The key of `Authorization: Bearer`; schemes have no case (RFC 9110, 11.1). */
export const bearerOf = (authorization: string | undefined): string | undefined =>
  authorization === undefined ? undefined : /^bearer +([^ ].*)$/i.exec(authorization)?.[1]
