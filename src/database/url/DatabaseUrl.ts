/**
 * `DATABASE_URL`: a PostgreSQL connection URL, read as libpq reads it.
 *
 * Where libpq asks its surroundings (`PGHOST`, `~/.pgpass`, `~/.postgresql`, the name of the
 * operating system's user), this does not: what the URL leaves out is `localhost`, port 5432 and a
 * database named like the user; the user must be named.
 */
import { Duration, Effect, FileSystem, Redacted, Result } from "effect"
import type { ConnectionParameters } from "../ConnectionParameters.ts"
import { DatabaseUrlInvalid } from "./DatabaseUrlInvalid.ts"
import * as Options from "./DatabaseUrlOptions.ts"
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

const integer = (
  parts: Syntax.Parts,
  name: string,
  fallback: string,
  [minimum, maximum]: readonly [number, number],
): Result.Result<number, string> => {
  const text = parts.get(name) || fallback
  const value = Number(text)
  return /^-?\d{1,10}$/.test(text) && value >= minimum && value <= maximum
    ? Result.succeed(value)
    : Result.fail(`has a ${name} that is not a whole number from ${minimum} to ${maximum}`)
}

/** Everything but the certificates, which are in files. */
const server = (parts: Syntax.Parts) =>
  Result.gen(function* () {
    const host = parts.get("host") || "localhost"
    const address = parts.get("hostaddr") || host
    if (host.includes(",") || address.includes(",") || parts.get("port")?.includes(",")) {
      return yield* Result.fail("names several hosts, which is not supported; name one")
    }
    if (!Syntax.isHost(host) || !Syntax.isHost(address)) {
      return yield* Result.fail("has a host that is not a name, an address or a directory")
    }
    const username = parts.get("user") || undefined
    if (username === undefined) {
      return yield* Result.fail("names no user; write postgres://user:password@host/database")
    }
    const password = parts.get("password") || undefined
    const seconds = yield* integer(parts, "connect_timeout", "5", [-1, 2_147_483])
    const idle = yield* integer(parts, "keepalives_idle", defaultKeepAlive, [0, 2_147_483])
    const keepalives = yield* integer(parts, "keepalives", "1", [0, 1])
    const applicationName = parts.get("application_name") ||
      parts.get("fallback_application_name") || undefined
    const startupOptions = parts.get("options") || undefined
    const target = parts.get("target_session_attrs")
    const parameters: ConnectionParameters = {
      host: address,
      port: yield* integer(parts, "port", "5432", [1, 65535]),
      database: parts.get("dbname") || username,
      username,
      connectTimeout: seconds > 0 ? Duration.seconds(seconds) : Duration.infinity,
      pooler: /^(true|1)$/.test(parts.get("pgbouncer") ?? ""),
      writable: target === "read-write" || target === "primary",
      ...(password === undefined ? {} : { password: Redacted.make(password) }),
      ...(keepalives === 0
        ? {}
        : { keepAlive: Duration.seconds(idle || Number(defaultKeepAlive)) }),
      ...(applicationName === undefined ? {} : { applicationName }),
      ...(startupOptions === undefined ? {} : { startupOptions }),
    }
    return { parameters, serverName: address === host ? undefined : host }
  })

const withServerName = (ssl: Tls.Tls["ssl"], servername: string | undefined) =>
  typeof ssl === "object" && servername !== undefined ? { ...ssl, servername } : ssl

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

/** Parses a URL and reads the certificates that it, or `caFile`, names. */
export const parse = Effect.fn("DatabaseUrl.parse")(function* (
  url: Redacted.Redacted<string>,
  options: ParseOptions = {},
): Effect.fn.Return<DatabaseUrl, DatabaseUrlInvalid, FileSystem.FileSystem> {
  const variable = options.variable ?? "DATABASE_URL"
  const orInvalid = <A>(result: Result.Result<A, string>) =>
    Effect.mapError(
      Effect.fromResult(result),
      (reason) => new DatabaseUrlInvalid({ message: `${variable} ${reason}.` }),
    )
  const files: Array<string> = []
  const read = (what: string, path: string, kind: Kind) => {
    files.push(path)
    return readPem(what, path, kind)
  }

  const parts = yield* orInvalid(Syntax.split(Redacted.value(url)))
  const warnings = yield* orInvalid(Options.review(parts))
  const sentences = (more: ReadonlyArray<string>) =>
    [...warnings, ...more].map((warning) => `${variable} ${warning}.`)
  const { parameters, serverName } = yield* orInvalid(server(parts))
  if (parameters.host?.startsWith("/")) {
    const asked = options.caFile !== undefined ||
      !/^(disable|allow|prefer)$/.test(parts.get("sslmode") ?? "prefer")
    return {
      parameters: { ...parameters, ssl: false },
      warnings: sentences(asked ? ["names a Unix socket, over which there is no TLS"] : []),
      files,
    }
  }

  const root = parts.get("sslrootcert") || undefined
  if (root !== undefined && options.caFile !== undefined) {
    return yield* orInvalid(
      Result.fail("has sslrootcert while DATABASE_CA_FILE is set too; keep one of them"),
    )
  }
  const optional = Effect.fnUntraced(function* (name: string, kind: Kind) {
    const path = parts.get(name) || undefined
    return path === undefined ? undefined : yield* read(`${variable}'s ${name}`, path, kind)
  })
  const cert = yield* optional("sslcert", "certificate")
  const key = yield* optional("sslkey", "private key")
  const tls = yield* orInvalid(Tls.resolve({
    mode: parts.get("sslmode") ?? (parts.get("ssl") === "true" ? "require" : undefined),
    root: options.caFile !== undefined
      ? yield* read("DATABASE_CA_FILE", options.caFile, "certificate")
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
  }))
  const unused = tls.ssl === false && tls.sslFallback === undefined &&
    (root !== undefined || options.caFile !== undefined)
  return {
    parameters: {
      ...parameters,
      ssl: withServerName(tls.ssl, serverName),
      ...(tls.sslFallback === undefined
        ? {}
        : { sslFallback: withServerName(tls.sslFallback, serverName) }),
    },
    warnings: sentences(
      unused ? ["has sslmode=disable, so the root certificate has no effect"] : [],
    ),
    files,
  }
})
