// What a program may and may not do with the client of swagger-typescript-api. A line that is expected
// to be an error, and is none, is a type that was lost.
import {
  Api,
  type NewUser,
  type RefreshTokenReusedProblem,
  type User,
} from "../generated/swagger.ts"

export const users: ReadonlyArray<NewUser> = [
  { email: "ada@example.com", authProvider: "email", passwordHash: "hash" },
  { email: "ada@example.com", authProvider: "google", googleId: "1", passwordHash: null },
  // @ts-expect-error
  { email: "ada@example.com", authProvider: "email", passwordHash: {} },
  // @ts-expect-error
  { email: "ada@example.com", authProvider: "facebook" },
  // @ts-expect-error
  { email: "ada@example.com" },
]

export const uses = async ({ v1 }: Api<unknown>) => {
  const created: User = (await v1.usersCreate({ email: "a@example.com", authProvider: "google" }))
    .data
  await v1.loginAttemptsCountByOrigin({ minutes: 15 })
  // @ts-expect-error
  await v1.loginAttemptsCountByOrigin({ minutes: "15" })
  await v1.refreshTokensListForUser(created.id, { active: true, limit: 10 })
  // @ts-expect-error
  await v1.refreshTokensListForUser(created.id, { active: "yes" })
  // @ts-expect-error
  await v1.refreshTokensListForUser(1)
}

export const read = (problem: RefreshTokenReusedProblem) => {
  const type: "https://latchkey.dev/problems/refresh-token-reused" = problem.type
  const title: string = problem.title
  // @ts-expect-error
  const other: 410 = problem.status
  return { type, title, other }
}
