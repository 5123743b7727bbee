/** What zod checks of requests. */
import { z } from "zod"

const email = z.email().max(254)
const text = (maximum: number) => z.string().min(1).max(maximum)
const ipAddress = z.union([z.ipv4(), z.ipv6()])

export const userParams = z.strictObject({ id: z.uuid() })
export const emailParams = z.strictObject({ email })
export const tokenParams = z.strictObject({ tokenHash: text(512) })
export const failuresQuery = z.strictObject({
  minutes: z.coerce.number().int().min(1).max(43200).default(15),
})

export const newUser = z.strictObject({
  email,
  authProvider: z.enum(["email", "google"]),
  passwordHash: text(1024).nullish(),
  googleId: text(255).nullish(),
  fullName: text(200).nullish(),
  isActive: z.boolean().default(true),
})

export const newSuccessor = z.strictObject({
  tokenHash: text(512),
  expiresAt: z.iso.datetime({ offset: true }),
  userAgent: text(1024).nullish(),
  ipAddress: ipAddress.nullish(),
})

export const newToken = newSuccessor.extend({ userId: z.uuid() })

export const includeQuery = z.strictObject({ include: z.enum(["user"]).optional() })

export const userChanges = z.strictObject({
  passwordHash: text(1024),
  revokeSessions: z.strictObject({
    reason: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/).default("credentials-changed"),
    exceptSessionId: z.uuid().nullish(),
  }).nullish(),
})

export const includeCredentials = z.strictObject({ include: z.enum(["credentials"]).optional() })

export const attemptToBegin = z.strictObject({
  email,
  ipAddress,
  userAgent: text(1024).nullish(),
  limits: z.array(z.strictObject({
    by: z.enum(["email", "ipAddress"]),
    failures: z.int().min(1).max(10_000),
    minutes: z.int().min(1).max(43_200),
  })).max(8).default([]),
})

export const completion = z.strictObject({
  success: z.boolean(),
  failureReason: text(256).nullish(),
  refreshToken: newToken.extend({ userVersion: text(64).nullish() }).nullish(),
}).refine(({ success, refreshToken }) => success || !refreshToken)

export const newAttempt = z.strictObject({
  userId: z.uuid().nullish(),
  email,
  ipAddress,
  userAgent: text(1024).nullish(),
  success: z.boolean(),
  failureReason: text(256).nullish(),
})
