/**
 * Connections to one server: made, looked at, and made what they must be, or refused.
 */
import { type PgClient, PgConnection } from "@effect/sql-pg"
import { Effect, Option, type Scope } from "effect"
import type { SqlError } from "effect/sql"
import type { Target } from "../ConnectionParameters.ts"
import { codeOf } from "../Constraints.ts"
import * as ResponseTimeoutSocket from "../ResponseTimeoutSocket.ts"
import * as SessionSettings from "../SessionSettings.ts"
import { Link } from "./Link.ts"
import { unfit } from "./refusals.ts"

/** `server_version_num` of the oldest server that is supported: PostgreSQL 15. */
const oldestVersion = 150_000

/** A connection that can be used, and what is known of it. */
export interface Opened {
  readonly connection: PgConnection.PgConnection
  readonly link: Link
  readonly facts: SessionSettings.SessionFacts
  /** With which it was made, without the socket. */
  readonly config: PgClient.PgClientConfig
}

/** The driver has no code for it; the text is its own, not the server's. */
export const isTlsRefused = (error: SqlError.SqlError): boolean =>
  error.reason.message === "PgConnection: Server refused TLS"

/** Whether the other encryption may be what the server wants; a wrong password stays wrong. */
const mayFallBack = (error: SqlError.SqlError): boolean =>
  isTlsRefused(error) || codeOf(error) === "28000"

const queryOn =
  (connection: PgConnection.PgConnection) =>
  (statement: string): Effect.Effect<unknown, SqlError.SqlError> =>
    Effect.map(connection.query(statement, [], false), ({ rows }) => rows)

/**
 * Whether a pooler is between that gives a connection another process of the server for each
 * transaction: two connections share one then, or one is moved.
 */
const isShared = Effect.fnUntraced(function* (
  config: PgClient.PgClientConfig,
  connection: PgConnection.PgConnection,
  facts: SessionSettings.SessionFacts,
) {
  // A pooler gives its clients no process ids of the server.
  if (connection.processId === facts.processId) return false
  const isSame = (other: SessionSettings.SessionFacts) =>
    other.processId === facts.processId && other.serverStart === facts.serverStart
  const other = yield* SessionSettings.readFacts(queryOn(yield* PgConnection.make(config)))
  return isSame(other) || !isSame(yield* SessionSettings.readFacts(queryOn(connection)))
}, Effect.scoped)

type Refusal = Parameters<typeof unfit>

/** What does not change from one connection to a server to the next. */
const refusalOfServer = Effect.fnUntraced(function* (
  { config, connection, facts }: Opened,
): Effect.fn.Return<Refusal | undefined, SqlError.SqlError> {
  if (facts.versionNumber < oldestVersion) {
    return [
      "version",
      facts.database,
      `PostgreSQL ${facts.version} is too old; upgrade it to 15 or later`,
    ]
  }
  return config.prepare !== false && (yield* isShared(config, connection, facts))
    ? [
      "settings",
      facts.database,
      "a pooler in transaction mode is between, which gives each statement another session; " +
      "add pgbouncer=true to the URL",
    ]
    : undefined
})

/** What libpq's words want of a session; nothing is wrong with what has no entry. */
const wrongFor: Record<
  Exclude<Target, "any" | "prefer-standby">,
  (facts: SessionSettings.SessionFacts) => string | undefined
> = {
  "read-write": ({ readOnly }) => readOnly ? "the server is read-only" : undefined,
  "read-only": ({ readOnly }) => readOnly ? undefined : "the server is not read-only",
  "primary": ({ inRecovery }) => inRecovery ? "the server is a standby" : undefined,
  "standby": ({ inRecovery }) => inRecovery ? undefined : "the server is no standby",
}

export interface ServerOptions extends SessionSettings.Timeouts {
  /** For the driver, but for what encryption there is. */
  readonly config: PgClient.PgClientConfig
  /** What to try; what has worked once is kept for good. */
  readonly encryptions: ReadonlyArray<PgClient.PgClientConfig["ssl"]>
}

/**
 * Makes a function for connections, which are closed with their scope. Only the first one looks at the
 * server's version, and whether a pooler is before it.
 */
export const makeOpen = ({ config, statementTimeout, ...options }: ServerOptions) => {
  let { encryptions } = options
  let isKnown = false

  const connectWith = (ssl: PgClient.PgClientConfig["ssl"]) =>
    Effect.suspend(() => {
      const link = new Link(() => ResponseTimeoutSocket.open({ ...config, ssl }, statementTimeout))
      return Effect.map(
        PgConnection.make({ ...config, ssl, stream: link.open }),
        (connection) => ({ connection, link, ssl }),
      )
    })

  const connect = Effect.suspend(() => {
    const [ssl, fallback] = encryptions
    return encryptions.length === 1
      ? connectWith(ssl)
      : Effect.catchIf(connectWith(ssl), mayFallBack, () => connectWith(fallback))
  })

  return Effect.fnUntraced(function* (
    wanted: Target,
  ): Effect.fn.Return<Opened, SqlError.SqlError, Scope.Scope> {
    const { connection, link, ssl } = yield* connect
    const query = queryOn(connection)
    const facts = yield* SessionSettings.readFacts(query)
    const working = { ...config, ssl }
    const opened: Opened = { connection, link, facts, config: working }
    if (!isKnown) {
      const refusal = yield* refusalOfServer(opened)
      if (refusal !== undefined) return yield* unfit(...refusal)
    }
    const problem = SessionSettings.diagnose(facts, working)
    if (Option.isSome(problem)) return yield* unfit("settings", facts.database, problem.value)
    encryptions = [ssl]
    isKnown = true
    const wrong = wanted === "any" || wanted === "prefer-standby"
      ? undefined
      : wrongFor[wanted](facts)
    if (wrong !== undefined) {
      return yield* unfit("standby", facts.database, `${wrong}, and ${wanted} is wanted`)
    }
    yield* SessionSettings.makeDurable(facts, working, query)
    return opened
  })
}
