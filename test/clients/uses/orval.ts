// What the zod schemas of orval take and refuse. A line that is expected to be an error, and is none,
// is a type that was lost.
import type { input, output } from "zod"
import type {
  LoginAttemptsCountByOriginQueryParams,
  RefreshTokensListForUserQueryParams,
  RefreshTokensRotateBody,
  UsersCreateBody,
  UsersGetByIdResponse,
} from "../generated/orval.ts"

type NewUser = input<typeof UsersCreateBody>

export const users: ReadonlyArray<NewUser> = [
  { email: "ada@example.com", authProvider: "email", passwordHash: "hash" },
  {
    email: "ada@example.com",
    authProvider: "google",
    googleId: "1",
    passwordHash: null,
  },
  // @ts-expect-error
  { email: "ada@example.com", authProvider: "email", passwordHash: {} },
  // @ts-expect-error
  { email: "ada@example.com", authProvider: "facebook" },
  // @ts-expect-error
  { email: "ada@example.com" },
]

export const windows: ReadonlyArray<
  input<typeof LoginAttemptsCountByOriginQueryParams>
> = [
  { minutes: 15 },
  // @ts-expect-error
  { minutes: "15" },
]

export const lists: ReadonlyArray<
  input<typeof RefreshTokensListForUserQueryParams>
> = [
  { active: true, limit: 10 },
  // @ts-expect-error
  { active: "yes" },
]

export const successors: ReadonlyArray<input<typeof RefreshTokensRotateBody>> = [
  { tokenHash: "new", expiresAt: "2099-01-01T00:00:00Z" },
  // @ts-expect-error
  { tokenHash: 1, expiresAt: "2099-01-01T00:00:00Z" },
  // @ts-expect-error
  { tokenHash: "new" },
]

export const read = (user: output<typeof UsersGetByIdResponse>) => {
  const name: string | null = user.fullName
  // @ts-expect-error
  const alwaysNamed: string = user.fullName
  return { name, alwaysNamed }
}
