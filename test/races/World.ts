/**
 * What the model of the races knows of one user: the account, and the tokens by names that tell what
 * they are to the pair of operations. The end state is read from the database in the same words.
 */

export interface Account {
  readonly isActive: boolean
  readonly passwordHash: string | null
  readonly authProvider: string
  readonly googleId: string | null
  readonly isVerified: boolean
}

/**
 * Names of tokens: `first` begins the session that the operations are about, and `second` is what it was
 * rotated to before, `sibling` what it was rotated to once more in grace. `other` is a younger session.
 * `by 1` and `by 2` are what the first and the second operation of the pair add.
 */
export type TokenName = "first" | "second" | "sibling" | "other" | "by 1" | "by 2"

export interface Token {
  readonly name: TokenName
  /** The name of the session's first token. */
  readonly session: string
  /** `live`, `rotated to …` or `revoked: …` with the reason. */
  readonly status: string
  /** Further successors of the token that this one is the first successor of. */
  readonly siblings: ReadonlyArray<string>
}

export interface World {
  /** Null when the user is deleted. */
  readonly account: Account | null
  /** Another user who has the address of the deleted one. */
  readonly heir: Account | null
  /** In the order in which their sessions began. */
  readonly tokens: ReadonlyArray<Token>
  /** How the attempt stands that `complete` is about; `pending` or `succeeded`. */
  readonly attempt: string
}

export const live = "live"
export const isLive = ({ status }: Token) => status === live
export const rotatedTo = (name: string) => `rotated to ${name}`
export const revoked = (reason: string) => `revoked: ${reason}`

export const describeAccount = (
  { isActive, passwordHash, authProvider, googleId, isVerified }: Account,
) =>
  [
    isActive ? "active" : "inactive",
    authProvider,
    passwordHash ?? "no password",
    googleId ?? "no Google id",
    isVerified ? "verified" : "unverified",
  ].join(", ")

/** The same text for worlds that are the same. */
export const describeWorld = ({ account, heir, tokens, attempt }: World) =>
  [
    `attempt ${attempt}`,
    account === null ? "deleted" : describeAccount(account),
    ...heir === null ? [] : [`heir: ${describeAccount(heir)}`],
    ...tokens.map(({ name, session, status, siblings }) =>
      `${name} of ${session} ${status}${siblings.length === 0 ? "" : `, siblings ${siblings}`}`
    ).sort(),
  ].join("\n")
