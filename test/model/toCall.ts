/**
 * What callers find out before they call.
 */
import type { Operation } from "./Operation.ts"
import type { Call, Tables, TokenRow } from "./Tables.ts"
import { byHash, isLive } from "./tokenRows.ts"
import type { IfVersion, TokenName, UserVersion } from "./values.ts"

const unusedHash = (tokens: ReadonlyArray<TokenRow>) => {
  let number = tokens.length + 1
  while (tokens.some(({ tokenHash }) => tokenHash === `n${number}`)) number++
  return `n${number}`
}

/**
 * The hash that is meant: of the youngest token that is live, of the youngest of all, of the youngest one
 * that was rotated, of that one's first successor, of what was rotated to it, or of none; any other is
 * meant itself.
 */
const toHash = ({ tokens }: Tables, name: string): string => {
  const rotated = tokens.findLast(({ successorId }) => successorId !== null)
  const named: Record<TokenName, () => string | undefined> = {
    "(live)": () => tokens.findLast(isLive)?.tokenHash,
    "(newest)": () => tokens.at(-1)?.tokenHash,
    "(rotated)": () => rotated?.tokenHash,
    "(its successor)": () => tokens.find(({ id }) => id === rotated?.successorId)?.tokenHash,
    "(before it)": () => {
      const first =
        tokens.find(({ siblingIds }) => rotated !== undefined && siblingIds.includes(rotated.id)) ??
          rotated
      return tokens.find(({ successorId }) => successorId !== null && successorId === first?.id)
        ?.tokenHash
    },
    "(unused)": () => unusedHash(tokens),
  }
  const isName = (name: string): name is TokenName => Object.hasOwn(named, name)
  return isName(name) ? named[name]() ?? name : name
}

const withHashes = (tables: Tables, operation: Operation): Operation => {
  switch (operation._tag) {
    case "CreateToken": {
      const { token } = operation
      return { ...operation, token: { ...token, tokenHash: toHash(tables, token.tokenHash) } }
    }
    case "Rotate": {
      const { tokenHash, successor } = operation
      return {
        ...operation,
        tokenHash: toHash(tables, tokenHash),
        successor: { ...successor, tokenHash: toHash(tables, successor.tokenHash) },
      }
    }
    case "RevokeAll": {
      const { except } = operation
      return { ...operation, except: except === null ? null : toHash(tables, except) }
    }
    default:
      return "tokenHash" in operation
        ? { ...operation, tokenHash: toHash(tables, operation.tokenHash) }
        : operation
  }
}

const versionsFor = (tables: Tables, id: string, wanted: IfVersion) => {
  const current = tables.users.filter((user) => user.id === id).map(({ version }) => version)
  const former = tables.generated.filter((value) => !current.includes(value))
  return {
    "any": undefined,
    current,
    former,
    "current or former": [...former, ...current],
  }[wanted]
}

const versionFor = (tables: Tables, id: string, wanted: UserVersion) =>
  wanted === "any" ? null : versionsFor(tables, id, wanted)?.at(-1) ?? "none"

const nobodysSession = "00000000-0000-4000-8000-00000000000f"

/** The session of the token that an operation names. */
const sessionFor = (tables: Tables, operation: Operation) => {
  const hash = operation._tag === "UpdateUser"
    ? operation.revokeSessions?.exceptSessionOf
    : operation._tag === "RevokeAll"
    ? operation.exceptSessionOf
    : operation._tag === "RevokeSession"
    ? operation.sessionOf
    : null
  return hash === null || hash === undefined
    ? null
    : byHash(tables, toHash(tables, hash))?.sessionId ?? nobodysSession
}

/** The call that somebody makes who has seen the tables. */
export const toCall = (tables: Tables, operation: Operation): Call => ({
  operation: withHashes(tables, operation),
  ifVersion: "ifVersion" in operation
    ? versionsFor(tables, operation.id, operation.ifVersion)
    : undefined,
  userVersion: operation._tag === "CreateToken"
    ? versionFor(tables, operation.token.userId, operation.userVersion)
    : null,
  sessionId: sessionFor(tables, operation),
  after: "isContinued" in operation && operation.isContinued ? tables.next : null,
})
