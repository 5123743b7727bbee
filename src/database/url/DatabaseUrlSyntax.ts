/**
 * The grammar of PostgreSQL connection URLs, as libpq reads it.
 *
 * Not `URL`: that one takes `#` for a fragment, refuses hosts that are percent-encoded directories,
 * and turns `+` in the query into a blank, so a password that works in `psql` would not work here.
 *
 * @see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
 */
import { Result } from "effect"
import { isIP, isIPv6 } from "node:net"

/** What the parts before the query say, and the query's parameters, all of it decoded. */
export type Parts = ReadonlyMap<string, string>

// Blanks around it and control characters within are always an accident of quoting or copying.
const blemish = /^\s|\s$|\p{Cc}/u
const shape = /^postgres(?:ql)?:\/\/(?:([^@/]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s
const authority = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/s
const hostName = /^[\p{L}\p{N}._-]+$/u

const decode = (text: string): Result.Result<string, string> =>
  Result.try({
    try: () => decodeURIComponent(text),
    catch: () =>
      "has a % that two hexadecimal digits of UTF-8 must follow; a plain % is written %25",
  }).pipe(
    Result.filterOrFail((value) => !value.includes("\0"), () => "must not contain %00"),
  )

const parameters = (query: string): Result.Result<ReadonlyArray<[string, string]>, string> =>
  Result.all(
    query.split("&").filter((text) => text !== "").map((text) => {
      const equals = text.indexOf("=")
      return equals < 1
        ? Result.fail("has a query parameter without a name or without =")
        : Result.all([decode(text.slice(0, equals)), decode(text.slice(equals + 1))])
    }),
  )

/** One of the hosts before the path. */
const server = (text: string) =>
  Result.gen(function* () {
    const [fits, bracketed, plain = "", port = ""] = authority.exec(text) ?? []
    if (fits === undefined || (bracketed !== undefined && !isIPv6(yield* decode(bracketed)))) {
      return yield* Result.fail(
        "has a host that is not a name, an address, or an IPv6 address in brackets",
      )
    }
    return { host: yield* decode(bracketed ?? plain), port: yield* decode(port) }
  })

/**
 * Splits and decodes a URL; the names are libpq's (`user`, `password`, `host`, `port`, `dbname`, and
 * those of the query, which win); several hosts and ports are lists with commas. The failure is the rest of a sentence that begins with the
 * variable's name, and quotes nothing of the value.
 */
export const split = (url: string): Result.Result<Parts, string> =>
  Result.gen(function* () {
    if (blemish.test(url)) {
      return yield* Result.fail("has blanks around it or control characters in it; remove them")
    }
    const [matched, userInfo, hosts = "", path = "", query = ""] = shape.exec(url) ?? []
    if (matched === undefined) {
      return yield* Result.fail("must look like postgres://user:password@host:5432/database")
    }
    // Where a password's own @ or / was left as it is, a piece of it would be taken for the host
    // and be printed when that host is not found.
    if (`${hosts}/${path}?${query}`.includes("@")) {
      return yield* Result.fail(
        "has an @ in an unexpected place; write @ as %40, / as %2F and : as %3A in the password",
      )
    }
    const servers = yield* Result.all(hosts.split(",").map(server))
    const ports = servers.map(({ port }) => port)
    const colon = userInfo?.indexOf(":") ?? -1
    const user = colon < 0 ? userInfo ?? "" : userInfo?.slice(0, colon) ?? ""
    const password = colon < 0 ? "" : userInfo?.slice(colon + 1) ?? ""
    const written: ReadonlyArray<[string, string]> = [
      ["user", yield* decode(user)],
      ["password", yield* decode(password)],
      ["host", servers.map(({ host }) => host).join(",")],
      ["port", ports.every((port) => port === "") ? "" : ports.join(",")],
      ["dbname", yield* decode(path)],
    ]
    return new Map([...written.filter(([, value]) => value !== ""), ...yield* parameters(query)])
  })

/** Whether a decoded `host` is one host, by name or address, or the directory of a Unix socket. */
export const isHost = (host: string): boolean =>
  host.startsWith("/") || isIP(host) !== 0 || hostName.test(host)
