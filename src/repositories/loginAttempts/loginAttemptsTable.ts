import { LoginAttempt } from "../../domain/LoginAttempt.ts"
import { describeTable } from "../describeTable.ts"

export const loginAttemptsTable = describeTable("login_attempts", LoginAttempt, {
  id: { input: "uuid" },
  userId: { input: "uuid" },
  email: { input: "text" },
  ipAddress: { input: "inet", output: "abbrev(ip_address)" },
  userAgent: { input: "text" },
  success: { input: "boolean" },
  failureReason: { input: "text" },
  attemptedAt: {},
  pending: {},
})
