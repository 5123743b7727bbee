/**
 * What the repository of users promises.
 */
import type { Operation } from "./Operation.ts"
import {
  type Answer,
  type Call,
  failure,
  generated,
  pageOf,
  retry,
  type Step,
  type Tables,
  type UserRow,
} from "./Tables.ts"

type Of<Tag extends Operation["_tag"]> = Extract<Operation, { readonly _tag: Tag }>

const userJson = ({ fingerprint: _, ...user }: UserRow) => user

export const sameEmail = (a: string, b: string) => a.toLowerCase() === b.toLowerCase()

type Account = Pick<UserRow, "email" | "authProvider" | "passwordHash" | "googleId">

/** PostgreSQL judges a row by itself before it compares it with others. */
const violation = (others: ReadonlyArray<Account>, account: Account) => {
  if (
    account.authProvider === "email" ? account.passwordHash === null : account.googleId === null
  ) {
    return "CredentialsMissing"
  }
  if (others.some(({ email }) => sameEmail(email, account.email))) return "EmailTaken"
  if (others.some(({ googleId }) => googleId !== null && googleId === account.googleId)) {
    return "GoogleIdTaken"
  }
  return undefined
}

export const createUser = (
  tables: Tables,
  { key, user }: Of<"CreateUser">,
  answer: Answer,
): Step => {
  const fingerprint = key === null ? null : JSON.stringify(user)
  const again = retry(tables, tables.users, { key, fingerprint, toJson: userJson })
  if (again !== undefined) return again
  const error = violation(tables.users, user)
  if (error !== undefined) return failure(tables, error)
  const row = {
    ...user,
    id: key ?? generated(tables, answer, "id"),
    createdAt: generated(tables, answer, "createdAt"),
    version: generated(tables, answer, "version"),
    fingerprint,
  }
  return {
    tables: {
      ...tables,
      users: [...tables.users, row],
      generated: [...tables.generated, ...(key === null ? [row.id] : []), row.version],
    },
    answer: userJson(row),
  }
}

/** Another version of the user, if anything is different. */
const change = (tables: Tables, user: UserRow, changes: Partial<UserRow>, answer: Answer) => {
  const changed = { ...user, ...changes }
  if (JSON.stringify(changed) === JSON.stringify(user)) return { tables, user }
  const version = generated(tables, answer, "version")
  const row = { ...changed, version }
  return {
    tables: {
      ...tables,
      users: tables.users.map((other) => other === user ? row : other),
      generated: [...tables.generated, version],
    },
    user: row,
  }
}

/** The user that a change or deletion is meant for, or the error. */
const target = (tables: Tables, id: string, ifVersion: Call["ifVersion"]) => {
  const user = tables.users.find((user) => user.id === id)
  if (user === undefined) return "UserNotFound"
  return ifVersion === undefined || ifVersion.includes(user.version) ? user : "VersionMismatch"
}

export const updateUser = (
  tables: Tables,
  { id, changes }: Of<"UpdateUser">,
  { ifVersion }: Call,
  answer: Answer,
): Step => {
  const user = target(tables, id, ifVersion)
  if (typeof user === "string") return failure(tables, user)
  const others = tables.users.filter((other) => other !== user)
  const error = violation(others, { ...user, ...changes })
  if (error !== undefined) return failure(tables, error)
  const changed = change(tables, user, changes, answer)
  return { tables: changed.tables, answer: userJson(changed.user) }
}

export const deleteUser = (
  tables: Tables,
  { id }: Of<"DeleteUser">,
  { ifVersion }: Call,
): Step => {
  const user = target(tables, id, ifVersion)
  if (typeof user === "string") return failure(tables, user)
  return {
    tables: {
      ...tables,
      users: tables.users.filter((other) => other !== user),
      tokens: tables.tokens.filter(({ userId }) => userId !== id),
      attempts: tables.attempts.map((attempt) =>
        attempt.userId === id ? { ...attempt, userId: null } : attempt
      ),
    },
    answer: null,
  }
}

export const findUser = (tables: Tables, isIt: (user: UserRow) => boolean): Step => {
  const user = tables.users.find(isIt)
  return { tables, answer: user === undefined ? null : userJson(user) }
}

export const listUsers = (tables: Tables, { limit }: Of<"ListUsers">, { after }: Call): Step =>
  pageOf(tables, tables.users, { after, limit, toJson: userJson })

/** When psql is told to say that a user was created. */
export const createdByHand = "2026-01-01T00:00:00.000Z"

export const writeUserByHand = (
  tables: Tables,
  { id, fullName }: Of<"WriteUserByHand">,
  answer: Answer,
): Step => {
  const user = tables.users.find((user) => user.id === id)
  if (user === undefined) return { tables, answer: null }
  const written = change(tables, user, { fullName, createdAt: createdByHand }, answer)
  return { tables: written.tables, answer: { version: written.user.version } }
}
