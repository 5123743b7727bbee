/**
 * Cursors: where a list goes on, opaque to clients and good for that list only.
 */
import { Effect, Option, Schema } from "effect"
import { InvalidRequest } from "../../api/problems.ts"
import { Email } from "../../domain/Email.ts"
import { type Page, Place } from "../../domain/Page.ts"

const cursorOf = <A>(place: Schema.Codec<A, unknown>) =>
  Schema.StringFromBase64Url.pipe(
    Schema.decodeTo(Schema.fromJsonString(Schema.Struct({ list: Schema.String, after: place }))),
  )

const Cursor = cursorOf(Place)

/** Where a list in the order of addresses goes on. */
const EmailCursor = cursorOf(Email)

const makeFromCursor = <A>(schema: ReturnType<typeof cursorOf<A>>) => {
  const decode = Schema.decodeOption(schema)
  return Effect.fnUntraced(function* (list: string, cursor: string | undefined) {
    if (cursor === undefined) return undefined
    const decoded = decode(cursor)
    if (Option.isSome(decoded) && decoded.value.list === list) return decoded.value.after
    return yield* new InvalidRequest({
      errors: [{ path: "cursor", message: "Expected the nextCursor of a page of this list" }],
    })
  })
}

/** Where a list goes on after the cursor that a client sent, if it sent one. */
export const fromCursor = makeFromCursor(Cursor)

/** The same for a list in the order of addresses. */
export const fromEmailCursor = makeFromCursor(EmailCursor)

export const toEmailCursor = (list: string, after: Email | null) =>
  after === null ? null : Schema.encodeSync(EmailCursor)({ list, after })

/** A page as clients see it. */
export const toPageJson = <A, B>(list: string, page: Page<A>, toJson: (item: A) => B) => ({
  items: page.items.map(toJson),
  nextCursor: page.next === null ? null : Schema.encodeSync(Cursor)({ list, after: page.next }),
})
