// What the zod schemas of openapi-zod-client take and refuse. A line that is expected to be an error,
// and is none, is a type that was lost.
import type { input, output } from "zod"
import type { schemas } from "../generated/zodios.ts"

type Schemas = typeof schemas

export const users: ReadonlyArray<input<Schemas["NewUser"]>> = [
  { email: "ada@example.com", authProvider: "email", passwordHash: "hash" },
  { email: "ada@example.com", authProvider: "google", googleId: "1", passwordHash: null },
  // @ts-expect-error
  { email: "ada@example.com", authProvider: "email", passwordHash: {} },
  // @ts-expect-error
  { email: "ada@example.com", authProvider: "facebook" },
  // @ts-expect-error
  { email: "ada@example.com" },
]

export const attempts: ReadonlyArray<input<Schemas["NewLoginAttempt"]>> = [
  { email: "ada@example.com", ipAddress: "192.0.2.1", success: true, userId: null },
  // @ts-expect-error
  { email: "ada@example.com", ipAddress: "192.0.2.1", success: "yes" },
  // @ts-expect-error
  { email: "ada@example.com", ipAddress: "192.0.2.1", success: true, failureReason: {} },
]

export const read = (problem: output<Schemas["InvalidRequestProblem"]>) => {
  const status: 400 = problem.status
  const paths: ReadonlyArray<string> = problem.errors.map(({ path }) => path)
  // @ts-expect-error
  const other: 404 = problem.status
  return { status, paths, other }
}
