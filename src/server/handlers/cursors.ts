/**
 * Cursors: where a list goes on, opaque to clients and good for that list only.
 */
import { Effect, Option, Schema } from "effect"
import { InvalidRequest } from "../../api/problems.ts"
import { type Page, Place } from "../../domain/Page.ts"

const Cursor = Schema.StringFromBase64Url.pipe(
  Schema.decodeTo(Schema.fromJsonString(Schema.Struct({ list: Schema.String, after: Place }))),
)

/** Where a list goes on after the cursor that a client sent, if it sent one. */
export const fromCursor = Effect.fnUntraced(function* (list: string, cursor: string | undefined) {
  if (cursor === undefined) return undefined
  const decoded = Schema.decodeOption(Cursor)(cursor)
  if (Option.isSome(decoded) && decoded.value.list === list) return decoded.value.after
  return yield* new InvalidRequest({
    errors: [{ path: "cursor", message: "Expected the nextCursor of a page of this list" }],
  })
})

/** A page as clients see it. */
export const toPageJson = <A, B>(list: string, page: Page<A>, toJson: (item: A) => B) => ({
  items: page.items.map(toJson),
  nextCursor: page.next === null ? null : Schema.encodeSync(Cursor)({ list, after: page.next }),
})
