/**
 * What an operator or the passing of time does to refresh tokens.
 */
import type { Operation } from "./Operation.ts"
import type { Step, Tables, TokenRow } from "./Tables.ts"
import { byHash, replace } from "./tokenRows.ts"

type Of<Tag extends Operation["_tag"]> = Extract<Operation, { readonly _tag: Tag }>

const change = (
  tables: Tables,
  tokenHash: string,
  changes: (token: TokenRow) => Partial<TokenRow>,
): Step => {
  const token = byHash(tables, tokenHash)
  return {
    tables: token === undefined ? tables : replace(tables, token, changes(token)),
    answer: null,
  }
}

export const expireToken = (tables: Tables, { tokenHash, expiresAt }: Of<"ExpireToken">) =>
  change(tables, tokenHash, () => ({ expiresAt }))

/** An hour after a token was revoked, no grace is left. */
export const ageRevocation = (tables: Tables, { tokenHash }: Of<"AgeRevocation">) =>
  change(tables, tokenHash, ({ revokedAt }) => ({
    revokedAt: revokedAt === null ? null : "an hour ago",
  }))

/** Siblings that are not there any more. */
export const formerSiblings = Array.from(
  { length: 10 },
  (_, index) => `00000000-0000-4000-9000-00000000000${index}`,
)

/** So many rotations in grace, of which some have left no more than an id. */
export const addSiblings = (tables: Tables, { tokenHash, count }: Of<"AddSiblings">) =>
  change(tables, tokenHash, ({ siblingIds }) => ({
    siblingIds: [...siblingIds, ...formerSiblings].slice(0, Math.max(count, siblingIds.length)),
  }))

/** When psql is told to say that the tokens were created, all at the same instant. */
export const createdTogether = "2026-01-02T00:00:00.000Z"

export const alignTokens = (tables: Tables, { userId }: Of<"AlignTokens">): Step => ({
  tables: {
    ...tables,
    tokens: tables.tokens.map((token) =>
      token.userId === userId
        ? { ...token, createdAt: createdTogether, signedInAt: createdTogether }
        : token
    ),
  },
  answer: null,
})
