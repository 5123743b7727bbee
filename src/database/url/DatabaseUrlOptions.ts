/**
 * The query parameters of a connection URL: what is done with each, so that none is ignored in
 * silence and none that makes a connection safer is ignored at all.
 *
 * @see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
 */
import { Result } from "effect"
import { targets } from "../ConnectionParameters.ts"
import type { Parts } from "./DatabaseUrlSyntax.ts"

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/))

/** Read by {@link DatabaseUrl}, which refuses values that they cannot have. */
const supported = words(`
  user password host hostaddr port dbname application_name fallback_application_name options
  connect_timeout keepalives keepalives_idle sslmode sslrootcert sslcert sslkey sslpassword
  ssl_min_protocol_version ssl_max_protocol_version
`)

/** Values that ask for what is done anyway, or are read by {@link DatabaseUrl} as they are. */
const satisfied: Readonly<Record<string, RegExp>> = {
  channel_binding: /^(disable|prefer)$/,
  client_encoding: /^(auto|utf-?8)$/i,
  gssencmode: /^(disable|prefer)$/,
  load_balance_hosts: /^(disable|random)$/,
  pgbouncer: /^(true|false|1|0)$/, // Prisma's
  replication: /^(0|no|off|false)$/,
  ssl: /^true$/, // JDBC's word for sslmode=require, which libpq takes too
  sslaccept: /^accept_invalid_certs$/,
  sslcertmode: /^allow$/,
  sslcompression: /^[01]$/,
  sslnegotiation: /^postgres$/,
  sslsni: /^1$/,
  target_session_attrs: new RegExp(`^(${targets.join("|")})$`),
  uselibpqcompat: /^true$/,
}

/** Without these the connection would be less safe than asked for, or lead somewhere else. */
const refused: Readonly<Record<string, string>> = {
  channel_binding: "the driver has no channel binding; remove it and use sslmode=verify-full",
  client_encoding: "only UTF8 is supported; remove it",
  gssencmode: "the driver has no GSSAPI encryption; use sslmode=verify-full",
  load_balance_hosts: "use disable or random",
  replication: "this is no replication client; remove it",
  require_auth: "the driver cannot restrict how it signs in; remove it and use sslmode=verify-full",
  requirepeer: "the driver cannot check who owns the socket; remove it",
  service: "service files are not read; write its settings into the URL",
  servicefile: "service files are not read; write its settings into the URL",
  ssl: "write sslmode=require or sslmode=disable",
  sslaccept: "this is Prisma's; use sslmode=verify-full",
  sslcertmode: "the driver cannot enforce it; remove it",
  sslcrl: "revocation lists are not supported; remove it",
  sslcrldir: "revocation lists are not supported; remove it",
  sslidentity: "this is Prisma's; use sslcert and sslkey",
  target_session_attrs: `use one of ${targets.join(", ")}`,
}

/** Known elsewhere, so that their names can be printed: any other may be a piece of a password. */
const known = words(`
  connection_limit gssdelegation gsslib idle_in_transaction_session_timeout keepalives_count
  keepalives_interval krbsrvname lock_timeout max_protocol_version
  min_protocol_version passfile pgbouncer pool_timeout schema scram_client_key scram_server_key search_path
  socket_timeout sslcompression sslkeylogfile sslnegotiation sslsni statement_cache_size
  statement_timeout tcp_user_timeout timezone uselibpqcompat
`)

/**
 * One sentence without its subject for every parameter that has no effect, or the reason for which
 * the first one that must not be ignored is refused.
 */
export const review = (parts: Parts): Result.Result<ReadonlyArray<string>, string> =>
  Result.gen(function* () {
    const warnings: Array<string> = []
    for (const [name, value] of parts) {
      if (supported.has(name) || satisfied[name]?.test(value)) continue
      const reason = refused[name]
      if (reason !== undefined) {
        return yield* Result.fail(`has a ${name} that cannot be honoured: ${reason}`)
      }
      warnings.push(
        known.has(name)
          ? `has ${name}, which has no effect here`
          : "has a query parameter that PostgreSQL does not know, which has no effect",
      )
    }
    return warnings
  })
