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
import { revokeWhere } from "./tokenRows.ts"

type Of<Tag extends Operation["_tag"]> = Extract<Operation, { readonly _tag: Tag }>

export const userJson = ({ fingerprint: _, ...user }: UserRow) => user

export const sameEmail = (a: string, b: string) => a.toLowerCase() === b.toLowerCase()

type Account = Pick<UserRow, "email" | "authProvider" | "passwordHash" | "googleId">

/**
 * PostgreSQL judges a row by itself before it compares it with others. Where one account has both the
 * address and the Google id, it is the same person's.
 */
const violation = (others: ReadonlyArray<Account>, account: Account) => {
  const { authProvider, passwordHash, googleId } = account
  if (authProvider === "email" ? passwordHash === null : googleId === null) {
    return "CredentialsMissing"
  }
  const hasGoogleId = (other: Account) => googleId !== null && other.googleId === googleId
  const owner = others.find(({ email }) => sameEmail(email, account.email))
  if (owner !== undefined) return hasGoogleId(owner) ? "GoogleIdTaken" : "EmailTaken"
  return others.some(hasGoogleId) ? "GoogleIdTaken" : undefined
}

type NewRow = Omit<UserRow, "createdAt" | "version" | "id">

const insert = (
  tables: Tables,
  { user, key, answer }: {
    readonly user: NewRow
    readonly key: string | null
    readonly answer: Answer
  },
) => {
  const row: UserRow = {
    ...user,
    id: key ?? generated(tables, answer, "id"),
    createdAt: generated(tables, answer, "createdAt"),
    version: generated(tables, answer, "version"),
  }
  return {
    tables: {
      ...tables,
      users: [...tables.users, row],
      generated: [...tables.generated, ...(key === null ? [row.id] : []), row.version],
    },
    user: row,
  }
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
  const created = insert(tables, { user: { ...user, fingerprint }, key, answer })
  return { tables: created.tables, answer: userJson(created.user) }
}

/** Another version of the user, if anything is different; an inactive one has no live token. */
const change = (before: Tables, user: UserRow, changes: Partial<UserRow>, answer: Answer) => {
  const changed = { ...user, ...changes }
  if (JSON.stringify(changed) === JSON.stringify(user)) return { tables: before, user }
  const version = generated(before, answer, "version")
  const row = { ...changed, version }
  const { tables } = user.isActive && !row.isActive
    ? revokeWhere(before, ({ userId }) => userId === user.id, "user-deactivated")
    : { tables: before }
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
  { id, changes, revokeSessions }: Of<"UpdateUser">,
  { ifVersion, sessionId }: Call,
  answer: Answer,
): Step => {
  const user = target(tables, id, ifVersion)
  if (typeof user === "string") return failure(tables, user)
  const others = tables.users.filter((other) => other !== user)
  const error = violation(others, { ...user, ...changes })
  if (error !== undefined) return failure(tables, error)
  const isOtherAddress = changes.email !== undefined && !sameEmail(changes.email, user.email)
  const unverified = isOtherAddress ? { emailVerifiedAt: null } : {}
  const changed = change(tables, user, { ...unverified, ...changes }, answer)
  const revoked = revokeSessions === null ? changed : revokeWhere(
    changed.tables,
    (token) => token.userId === id && token.sessionId !== sessionId,
    revokeSessions.reason ?? "credentials-changed",
  )
  return { tables: revoked.tables, answer: userJson(changed.user) }
}

export const getOrCreateByGoogleId = (
  tables: Tables,
  { googleId, account }: Of<"GetOrCreateByGoogleId">,
  answer: Answer,
): Step => {
  const { email, emailVerified, fullName, onEmailTaken } = account
  const user = tables.users.find((user) => user.googleId === googleId)
  if (user !== undefined) return { tables, answer: { user: userJson(user), isNew: false } }
  const owner = tables.users.find((user) => sameEmail(user.email, email))
  if (owner === undefined) {
    const created = insert(tables, {
      user: {
        email,
        fullName,
        passwordHash: null,
        authProvider: "google",
        googleId,
        isActive: true,
        emailVerifiedAt: emailVerified ? "now" : null,
        fingerprint: null,
      },
      key: null,
      answer,
    })
    return { tables: created.tables, answer: { user: userJson(created.user), isNew: true } }
  }
  if (onEmailTaken === "refuse" || !emailVerified || owner.googleId !== null) {
    return failure(tables, "EmailTaken")
  }
  if (!owner.isActive) return failure(tables, "UserInactive")
  if (owner.emailVerifiedAt !== null) {
    const linked = change(tables, owner, { googleId }, answer)
    return { tables: linked.tables, answer: { user: userJson(linked.user), isNew: false } }
  }
  const taken = change(
    tables,
    owner,
    { googleId, authProvider: "google", passwordHash: null, emailVerifiedAt: "now" },
    answer,
  )
  const isTheirs = ({ userId }: { readonly userId: string }) => userId === owner.id
  return {
    tables: revokeWhere(taken.tables, isTheirs, "credentials-changed").tables,
    answer: { user: userJson(taken.user), isNew: false },
  }
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

/** What psql changes, and the version that comes of it. */
const writeByHand = (
  tables: Tables,
  id: string,
  changes: Partial<UserRow>,
  answer: Answer,
): Step => {
  const user = tables.users.find((user) => user.id === id)
  if (user === undefined) return { tables, answer: null }
  const written = change(tables, user, changes, answer)
  return { tables: written.tables, answer: { version: written.user.version } }
}

export const writeUserByHand = (
  tables: Tables,
  { id, fullName }: Of<"WriteUserByHand">,
  answer: Answer,
): Step => writeByHand(tables, id, { fullName, createdAt: createdByHand }, answer)

export const setActiveByHand = (
  tables: Tables,
  { id, isActive }: Of<"SetActiveByHand">,
  answer: Answer,
): Step => writeByHand(tables, id, { isActive }, answer)
