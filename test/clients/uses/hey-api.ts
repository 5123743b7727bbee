// What a program may and may not do with the client of @hey-api/openapi-ts. A line that is expected to
// be an error, and is none, is a type that was lost.
import {
  loginAttemptsCountByOrigin,
  refreshTokensListForUser,
  refreshTokensRotate,
  usersCreate,
} from "../generated/hey-api/index.ts"

export const uses = async () => {
  const body = { email: "ada@example.com", authProvider: "email", passwordHash: "hash" } as const
  const created = await usersCreate({ body })
  const id: string | undefined = created.data?.id
  // The response is no request: it never has the hash.
  // @ts-expect-error
  created.data?.passwordHash
  // @ts-expect-error
  await usersCreate({ body: { ...body, passwordHash: {} } })
  // @ts-expect-error
  await usersCreate({ body: { ...body, fullName: 1 } })
  // @ts-expect-error
  await usersCreate({ body: { ...body, authProvider: "facebook" } })
  // @ts-expect-error
  await usersCreate({ body: { email: "ada@example.com" } })
  await usersCreate({ body: { ...body, fullName: null } })

  await loginAttemptsCountByOrigin({ query: { minutes: 15 } })
  // @ts-expect-error
  await loginAttemptsCountByOrigin({ query: { minutes: "15" } })
  await refreshTokensListForUser({ path: { id: "id" }, query: { active: true, limit: 10 } })
  // @ts-expect-error
  await refreshTokensListForUser({ path: { id: "id" }, query: { active: "yes" } })
  // @ts-expect-error
  await refreshTokensListForUser({ path: { id: 1 } })

  const rotated = await refreshTokensRotate({
    path: { tokenHash: "old" },
    body: { tokenHash: "new", expiresAt: "2099-01-01T00:00:00Z" },
  })
  if (rotated.error?.type === "https://latchkey.dev/problems/refresh-token-reused") {
    const status: 409 = rotated.error.status
    // @ts-expect-error
    const other: 410 = rotated.error.status
    return { status, other }
  }
  if (rotated.error?.type === "https://latchkey.dev/problems/invalid-request") {
    return rotated.error.errors.map(({ path, message }) => path + message)
  }
  const title: string | undefined = rotated.error?.title
  return { id, title, isValid: rotated.data?.isValid satisfies boolean | undefined }
}
