/**
 * `sslmode` and its companions, with the meaning that libpq gives them.
 *
 * | mode | encrypted | certificate |
 * |---|---|---|
 * | `disable` | never | |
 * | `allow`, `prefer` (the default) | if the server insists, if it can | not checked |
 * | `require` | always | chain checked only if a root certificate is given |
 * | `verify-ca` | always | chain checked |
 * | `verify-full` | always | chain and host name checked |
 *
 * Two differences, both towards safety: a root certificate without a mode means `verify-full`, since
 * who gives one wants it used; and `verify-full` without one trusts the public authorities that the
 * runtime knows, as libpq does with `sslrootcert=system`. Over a Unix socket there is no TLS.
 *
 * @see https://www.postgresql.org/docs/current/libpq-ssl.html
 */
import type { PgClient } from "@effect/sql-pg"
import { Result } from "effect"
import type { ConnectionOptions } from "node:tls"

/** The contents of the files that the URL names, and the modes as written. */
export interface TlsSettings {
  readonly mode: string | undefined
  /** PEM text, or `system` for the public authorities that the runtime knows. */
  readonly root: string | undefined
  readonly client: Pick<ConnectionOptions, "cert" | "key" | "passphrase">
  readonly minVersion: string | undefined
  readonly maxVersion: string | undefined
}

export interface Tls {
  readonly ssl: PgClient.PgClientConfig["ssl"]
  readonly sslFallback?: PgClient.PgClientConfig["ssl"]
}

const versions = ["TLSv1.2", "TLSv1.3"] as const

// The runtime speaks nothing older than TLS 1.2, so an older minimum is met as it is.
const version = (name: string, value: string | undefined) => {
  if (value === undefined || (name === "ssl_min_protocol_version" && /^TLSv1(\.1)?$/.test(value))) {
    return Result.succeed(undefined)
  }
  return Result.fromNullishOr(
    versions.find((known) => known === value),
    () => `has an ${name} that is not supported; use ${versions.join(" or ")}`,
  )
}

/** The failure is the rest of a sentence that begins with the variable's name. */
export const resolve = (settings: TlsSettings): Result.Result<Tls, string> =>
  Result.gen(function* () {
    const { root } = settings
    const minVersion = yield* version("ssl_min_protocol_version", settings.minVersion)
    const maxVersion = yield* version("ssl_max_protocol_version", settings.maxVersion)
    const base: ConnectionOptions = {
      ...settings.client,
      ...(minVersion === undefined ? {} : { minVersion }),
      ...(maxVersion === undefined ? {} : { maxVersion }),
      ...(root === undefined || root === "system" ? {} : { ca: root }),
    }
    // With a root certificate libpq checks the chain in every mode, and the host in none of these.
    const encrypted: ConnectionOptions = root === undefined
      ? { ...base, rejectUnauthorized: false }
      : { ...base, checkServerIdentity: () => undefined }
    const mode = settings.mode ?? (root === undefined ? "prefer" : "verify-full")
    if (root === "system" && mode !== "verify-full") {
      return yield* Result.fail(
        "has sslrootcert=system, which is only safe with sslmode=verify-full; use that",
      )
    }
    switch (mode) {
      case "disable":
        return { ssl: false }
      case "allow":
        return { ssl: false, sslFallback: encrypted }
      case "prefer":
        return { ssl: encrypted, sslFallback: false }
      case "require":
        return { ssl: encrypted }
      case "verify-ca":
        return root === undefined
          ? yield* Result.fail(
            "has sslmode=verify-ca without a root certificate; " +
              "give one with sslrootcert or DATABASE_CA_FILE, or use verify-full",
          )
          : { ssl: encrypted }
      case "verify-full":
        return { ssl: base }
      default:
        return yield* Result.fail(
          "has an sslmode that is none of disable, allow, prefer, require, verify-ca, verify-full",
        )
    }
  })
