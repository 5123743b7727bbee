/**
 * Whom handlers read from: the primary, or a replica, as the request asks for it.
 */
import { Effect } from "effect"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import { type Readers, Replicas } from "../../operations/Replicas.ts"
import { LoginAttemptRepository } from "../../repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../repositories/users/UserRepository.ts"
import { positionHeader } from "../positions.ts"

/** As much of a request as tells what its answer must have. */
export interface Sent {
  readonly request: { readonly headers: Readonly<Record<string, unknown>> }
}

type From<A, E> = (readers: Readers) => Effect.Effect<A, E | DatabaseUnavailable>

/**
 * Makes functions for reads: `read` takes what a replica has, `readStrictly` only where the request has
 * the position that it must have reached.
 */
export const makeRead = Effect.gen(function* () {
  const replicas = yield* Replicas
  const primary: Readers = {
    users: yield* UserRepository,
    tokens: yield* RefreshTokenRepository,
    attempts: yield* LoginAttemptRepository,
  }
  const readAs = (isStrict: boolean) => <A, E>({ request }: Sent, from: From<A, E>) => {
    if (replicas === undefined) return from(primary)
    const given = request.headers[positionHeader]
    const position = typeof given === "string" ? given : undefined
    return replicas.read({ position, isStrict }, from, primary)
  }
  return { read: readAs(false), readStrictly: readAs(true) }
})
