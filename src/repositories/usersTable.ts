import { User } from "../domain/User.ts"
import { describeTable } from "./describeTable.ts"

export const usersTable = describeTable("users", User, {
  id: { input: "uuid" },
  email: { input: "text" },
  fullName: { input: "text" },
  passwordHash: { input: "text" },
  authProvider: { input: "public.auth_provider_enum" },
  googleId: { input: "text" },
  isActive: { input: "boolean" },
  emailVerifiedAt: { input: "timestamptz" },
  createdAt: {},
  updatedAt: {},
  version: { output: "version::text" },
})

/** What a user's columns are called in a row that has others as well; see `aliases`. */
export const userPrefix = "user."
