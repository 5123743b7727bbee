/**
 * E-mail addresses: ASCII, as an HTML e-mail field takes them, kept in the spelling given and
 * compared in lower case. The database has the same rule as `users_email_check`.
 */
import { Schema } from "effect"
import { boundedText } from "../schema/Text.ts"

// https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address
const pattern =
  /^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/u

/** An address read from the database, which has checked it. */
export const StoredEmail = Schema.String.pipe(Schema.brand("Email"))

/** An address as input: at most 254 characters (RFC 5321, 4.5.3.1.3), never trimmed or changed. */
export const Email = Schema.String.check(
  Schema.isMaxLength(254),
  Schema.isPattern(pattern, { expected: "an e-mail address in ASCII, without blanks" }),
).pipe(Schema.brand("Email"))
export type Email = typeof Email.Type

/** What addresses may begin with. */
export const EmailPrefix = boundedText(254)
