/**
 * `DATABASE_URL`: a PostgreSQL connection URL, read as libpq reads it.
 *
 * Where libpq asks its surroundings (`PGHOST`, `~/.pgpass`, `~/.postgresql`, the name of the
 * operating system's user), this does not: what the URL leaves out is `localhost`, port 5432 and a
 * database named like the user; the user must be named.
 */
import { Duration, Effect, FileSystem, Redacted, Result } from "effect"
import {
  type ConnectionParameters,
  type ServerParameters,
  type Target,
  targets,
} from "../ConnectionParameters.ts"
import { DatabaseUrlInvalid } from "./DatabaseUrlInvalid.ts"
import * as Options from "./DatabaseUrlOptions.ts"
import { integer, type Place, readPlaces } from "./DatabaseUrlPlaces.ts"
import * as Syntax from "./DatabaseUrlSyntax.ts"
import * as Tls from "./DatabaseUrlTls.ts"

export interface DatabaseUrl {
  readonly parameters: ConnectionParameters
  /** Sentences about parameters that have no effect; for the log. */
  readonly warnings: ReadonlyArray<string>
  /** The files that it was read with: certificates and keys. */
  readonly files: ReadonlyArray<string>
}

export interface ParseOptions {
  /** The variable that the messages name. Default `DATABASE_URL`. */
  readonly variable?: string
  /** Path of a root certificate, from `DATABASE_CA_FILE`; instead of `sslrootcert`. */
  readonly caFile?: string | undefined
  /** What is wanted of a server where the URL does not say; by default one that takes writes, of several. */
  readonly defaultTarget?: Target
}

// Load balancers and NAT forget idle connections after a few minutes; the system's default of two
// hours would let the pool find that out by a request that hangs.
const defaultKeepAlive = "60"

/** A file of something else would be taken in silence by the runtime, and trusted for nothing. */
const pem = {
  "certificate": /-----BEGIN (TRUSTED )?CERTIFICATE-----/,
  "private key": /-----BEGIN .*PRIVATE KEY-----/,
}
type Kind = keyof typeof pem

/**
 * With several servers, only one that takes writes will do unless the URL says otherwise: which one that
 * is changes, and libpq's `any` would stay with the first that answers.
 */
const targetOf = (
  parts: Syntax.Parts,
  servers: number,
  { defaultTarget }: ParseOptions,
): Target =>
  targets.find((target) => target === parts.get("target_session_attrs")) ??
    defaultTarget ?? (servers > 1 ? "read-write" : "any")

/** Everything but the servers, and the certificates, which are in files. */
const session = (parts: Syntax.Parts, servers: number, options: ParseOptions) =>
  Result.gen(function* () {
    const number = (
      name: string,
      fallback: string,
      bounds: readonly [number, number],
    ) => integer(name, parts.get(name) || fallback, bounds)
    const username = parts.get("user") || undefined
    if (username === undefined) {
      return yield* Result.fail("names no user; write postgres://user:password@host/database")
    }
    const password = parts.get("password") || undefined
    const seconds = yield* number("connect_timeout", "5", [-1, 2_147_483])
    const idle = yield* number("keepalives_idle", defaultKeepAlive, [0, 2_147_483])
    const keepalives = yield* number("keepalives", "1", [0, 1])
    const applicationName = parts.get("application_name") ||
      parts.get("fallback_application_name") || undefined
    const startupOptions = parts.get("options") || undefined
    const parameters: ConnectionParameters = {
      database: parts.get("dbname") || username,
      username,
      connectTimeout: seconds > 0 ? Duration.seconds(seconds) : Duration.infinity,
      pooler: /^(true|1)$/.test(parts.get("pgbouncer") ?? ""),
      target: targetOf(parts, servers, options),
      inRandomOrder: parts.get("load_balance_hosts") === "random",
      ...(password === undefined ? {} : { password: Redacted.make(password) }),
      ...(keepalives === 0
        ? {}
        : { keepAlive: Duration.seconds(idle || Number(defaultKeepAlive)) }),
      ...(applicationName === undefined ? {} : { applicationName }),
      ...(startupOptions === undefined ? {} : { startupOptions }),
    }
    return parameters
  })

const readPem = Effect.fnUntraced(function* (what: string, path: string, kind: Kind) {
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(
    fs.readFileString(path),
    (error) =>
      new DatabaseUrlInvalid({
        message: `${what} names ${path}, which cannot be read (${error.reason._tag}).`,
      }),
  )
  if (pem[kind].test(text)) return text
  return yield* new DatabaseUrlInvalid({
    message: `${what} names ${path}, which holds no ${kind} in PEM form.`,
  })
})

type ReadFile = (
  what: string,
  path: string,
  kind: Kind,
) => Effect.Effect<string, DatabaseUrlInvalid, FileSystem.FileSystem>

/** What the URL, or `caFile`, says of TLS, with what is in the files that are named there. */
const readTls = Effect.fnUntraced(function* (
  parts: Syntax.Parts,
  { caFile, variable }: Pick<ParseOptions, "caFile"> & { readonly variable: string },
  read: ReadFile,
) {
  const root = parts.get("sslrootcert") || undefined
  const optional = Effect.fnUntraced(function* (name: string, kind: Kind) {
    const path = parts.get(name) || undefined
    return path === undefined ? undefined : yield* read(`${variable}'s ${name}`, path, kind)
  })
  const cert = yield* optional("sslcert", "certificate")
  const key = yield* optional("sslkey", "private key")
  return Tls.resolve({
    mode: parts.get("sslmode") ?? (parts.get("ssl") === "true" ? "require" : undefined),
    root: caFile !== undefined
      ? yield* read("DATABASE_CA_FILE", caFile, "certificate")
      : root === "system"
      ? root
      : yield* optional("sslrootcert", "certificate"),
    client: {
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(parts.get("sslpassword") ? { passphrase: parts.get("sslpassword") } : {}),
    },
    minVersion: parts.get("ssl_min_protocol_version"),
    maxVersion: parts.get("ssl_max_protocol_version"),
  })
})

const withServerName = (ssl: Tls.Tls["ssl"], servername: string | undefined) =>
  typeof ssl === "object" && servername !== undefined ? { ...ssl, servername } : ssl

const isSocket = ({ host }: Place) => host.startsWith("/")

const serverOf = (place: Place, tls: Tls.Tls): ServerParameters => {
  const { host, port, serverName } = place
  if (isSocket(place)) return { host, port, ssl: false }
  const ssl = withServerName(tls.ssl, serverName)
  return tls.sslFallback === undefined
    ? { host, port, ssl }
    : { host, port, ssl, sslFallback: withServerName(tls.sslFallback, serverName) }
}

/** Parses a URL and reads the certificates that it, or `caFile`, names. */
export const parse = Effect.fn("DatabaseUrl.parse")(function* (
  url: Redacted.Redacted<string>,
  options: ParseOptions = {},
): Effect.fn.Return<DatabaseUrl, DatabaseUrlInvalid, FileSystem.FileSystem> {
  const { caFile, variable = "DATABASE_URL" } = options
  const orInvalid = <A>(result: Result.Result<A, string>) =>
    Effect.mapError(
      Effect.fromResult(result),
      (reason) => new DatabaseUrlInvalid({ message: `${variable} ${reason}.` }),
    )
  const files: Array<string> = []
  const read: ReadFile = (what, path, kind) => {
    files.push(path)
    return readPem(what, path, kind)
  }

  const parts = yield* orInvalid(Syntax.split(Redacted.value(url)))
  const warnings = [...yield* orInvalid(Options.review(parts))]
  const places = yield* orInvalid(readPlaces(parts))
  const parameters = yield* orInvalid(session(parts, places.length, options))
  const asksForTls = caFile !== undefined ||
    !/^(disable|allow|prefer)$/.test(parts.get("sslmode") ?? "prefer")
  if (asksForTls && places.some(isSocket)) {
    warnings.push("names a Unix socket, over which there is no TLS")
  }
  const root = parts.get("sslrootcert") || undefined
  if (root !== undefined && caFile !== undefined) {
    return yield* orInvalid(
      Result.fail("has sslrootcert while DATABASE_CA_FILE is set too; keep one of them"),
    )
  }
  const tls = places.every(isSocket)
    ? { ssl: false }
    : yield* orInvalid(yield* readTls(parts, { caFile, variable }, read))
  if (
    !places.every(isSocket) && tls.ssl === false && tls.sslFallback === undefined &&
    (root !== undefined || caFile !== undefined)
  ) warnings.push("has sslmode=disable, so the root certificate has no effect")
  const [server, ...others] = places.map((place) => serverOf(place, tls))
  return {
    parameters: { ...parameters, ...server, ...others.length === 0 ? {} : { others } },
    warnings: warnings.map((warning) => `${variable} ${warning}.`),
    files,
  }
})
