/**
 * The servers of one database, of which each new connection takes the first that can be used.
 *
 * As libpq does it: the servers in their order, or each time in another one; `connect_timeout` for each;
 * until one answers and its session is what `target_session_attrs` wants. Where a server does not let the
 * role in, no other is tried: they are one cluster, and would count a wrong password each.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
 *
 * In one thing it is not like libpq: a server of which a connection was not to be had is tried after the
 * others for a while, so that not each connection waits for one that is silent.
 */
import type { PgClient } from "@effect/sql-pg"
import { Clock, Duration, Effect, Exit, Random, Result, Scope } from "effect"
import type { SqlError } from "effect/sql"
import {
  type ConnectionParameters,
  placeOf,
  type ServerParameters,
  serversOf,
  type Target,
} from "../ConnectionParameters.ts"
import { codeOf } from "../Constraints.ts"
import * as SessionSettings from "../SessionSettings.ts"
import { type Attempt, errorsIn, noServer } from "./refusals.ts"
import { makeOpen, type Opened } from "./Server.ts"

/** For how long a server that could not be used is tried after the others. */
const avoidance = Duration.toMillis("30 seconds")

export interface Taken extends Opened {
  /**
   * Where it leads to, where all connections must lead to one server: of several, the one that takes
   * writes. In random order there may be more than one.
   */
  readonly onlyAt: string | undefined
}

export interface Servers {
  /**
   * Makes a connection, which is closed with its scope. `onFailure` is told of each server that is not
   * taken for an error, also where another one is.
   */
  readonly open: (
    onFailure: (error: SqlError.SqlError) => Effect.Effect<void>,
  ) => Effect.Effect<Taken, SqlError.SqlError, Scope.Scope>
}

interface Server {
  /** As messages name it. */
  readonly place: string
  readonly open: (wanted: Target) => Effect.Effect<Opened, SqlError.SqlError, Scope.Scope>
  /** When a connection to it last failed, by the clock of the process, in milliseconds. */
  failedAt: number
}

/** Whether a server answered that the role, its password or the database is not what it knows. */
const isFinal = (error: SqlError.SqlError): boolean => {
  const code = codeOf(error) ?? ""
  return error.reason._tag === "AuthenticationError" || ["3D000", "42501"].includes(code)
}

/** For the driver, but for where a server is and what encryption there is. */
export const configOf = (
  connection: ConnectionParameters,
  timeouts: SessionSettings.Timeouts,
): PgClient.PgClientConfig => {
  const {
    pooler,
    others: _others,
    target: _target,
    inRandomOrder: _inRandomOrder,
    sslFallback: _sslFallback,
    ...config
  } = connection
  return {
    applicationName: "latchkey",
    ...config,
    startupParameters: SessionSettings.startupParameters(connection, timeouts),
    prepare: !pooler,
  }
}

/** In a scope of its own, so that a connection that is not taken is closed before the next is made. */
const tryAt = Effect.fnUntraced(function* ({ open }: Server, wanted: Target) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  return yield* open(wanted).pipe(
    Scope.provide(scope),
    Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
  )
})

/** For sessions with these settings and bounds. */
export const make = (
  connection: ConnectionParameters,
  timeouts: SessionSettings.Timeouts,
): Servers => {
  const { target = "any", inRandomOrder = false } = connection
  const config = configOf(connection, timeouts)
  const list = serversOf(connection).map((server: ServerParameters): Server => {
    const { host, port, path, ssl, sslFallback } = server
    return {
      place: placeOf(server),
      open: makeOpen({
        ...timeouts,
        config: { ...config, host, port, path },
        encryptions: sslFallback === undefined ? [ssl] : [ssl, sslFallback],
      }),
      failedAt: Number.NEGATIVE_INFINITY,
    }
  })

  const isOnly = list.length > 1 && !inRandomOrder &&
    (target === "read-write" || target === "primary")

  const inOrder = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const avoided = ({ failedAt }: Server) => now - failedAt < avoidance ? failedAt : 0
    const ordered = inRandomOrder ? yield* Random.shuffle(list) : list
    return ordered.toSorted((one, other) => avoided(one) - avoided(other))
  })

  const tryEach = Effect.fnUntraced(function* (
    wanted: Target,
    onFailure: (error: SqlError.SqlError) => Effect.Effect<void>,
  ) {
    const attempts: Array<Attempt> = []
    for (const server of yield* inOrder) {
      const result = yield* Effect.result(tryAt(server, wanted))
      if (Result.isSuccess(result)) {
        server.failedAt = Number.NEGATIVE_INFINITY
        const taken: Taken = {
          ...result.success,
          onlyAt: isOnly ? server.place : undefined,
        }
        return taken
      }
      const error = result.failure
      server.failedAt = yield* Clock.currentTimeMillis
      yield* onFailure(error)
      attempts.push({ place: server.place, error })
      if (isFinal(error)) break
    }
    return yield* noServer(attempts)
  })

  const open: Servers["open"] = (onFailure) =>
    target === "prefer-standby" && list.length > 1
      ? Effect.catchIf(
        tryEach("standby", () => Effect.void),
        (error) => !errorsIn(error).some(isFinal),
        () => tryEach("any", onFailure),
      )
      : tryEach(target, onFailure)

  return { open }
}
