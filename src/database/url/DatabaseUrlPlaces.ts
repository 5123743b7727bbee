/**
 * Where the servers of a connection URL are: lists of hosts, addresses and ports that belong together.
 *
 * @see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
 */
import { Result } from "effect"
import { isHost, type Parts } from "./DatabaseUrlSyntax.ts"

/** A parameter that is a whole number; the failure is the rest of a sentence, without the value. */
export const integer = (
  name: string,
  text: string,
  [minimum, maximum]: readonly [number, number],
): Result.Result<number, string> => {
  const value = Number(text)
  return /^-?\d{1,10}$/.test(text) && value >= minimum && value <= maximum
    ? Result.succeed(value)
    : Result.fail(`has a ${name} that is not a whole number from ${minimum} to ${maximum}`)
}

/** A list as long as that of the hosts; one alone is for all of them. */
const listFor = (
  hosts: ReadonlyArray<string>,
  text: string | undefined,
  what: string,
): Result.Result<ReadonlyArray<string>, string> => {
  const list = (text ?? "").split(",")
  if (list.length === hosts.length) return Result.succeed(list)
  return list.length === 1 && what === "ports"
    ? Result.succeed(hosts.map(() => list[0] ?? ""))
    : Result.fail(`has not as many ${what} as hosts; give one for each`)
}

export interface Place {
  readonly host: string
  readonly port: number
  /** Where it is not `host` that its certificate is for. */
  readonly serverName: string | undefined
}

/** Where the servers are, at least one. */
export const readPlaces = (parts: Parts): Result.Result<ReadonlyArray<Place>, string> =>
  Result.gen(function* () {
    const addressed = parts.get("hostaddr") || undefined
    const named = parts.get("host") || undefined
    const hosts = (named ?? addressed ?? "").split(",")
    const addresses = addressed === undefined ? hosts : yield* listFor(hosts, addressed, "hostaddr")
    const ports = yield* listFor(hosts, parts.get("port"), "ports")
    const found: Array<Place> = []
    for (const [index, name] of hosts.entries()) {
      const host = name || addresses[index] || "localhost"
      const address = addresses[index] || host
      if (!isHost(host) || !isHost(address)) {
        return yield* Result.fail("has a host that is not a name, an address or a directory")
      }
      found.push({
        host: address,
        port: yield* integer("port", ports[index] || "5432", [1, 65535]),
        serverName: address === host ? undefined : host,
      })
    }
    return found
  })
