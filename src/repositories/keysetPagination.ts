import { DateTime } from "effect"
import { type Page, Place } from "../domain/Page.ts"

/** Where a list begins when it is not continued: before every row. */
export const startAfter = (after: Place | undefined) => ({
  createdAt: after === undefined ? "-infinity" : DateTime.formatIso(after.createdAt),
  id: after === undefined ? "00000000-0000-0000-0000-000000000000" : after.id,
})

/** Where a list of the newest first begins: after every row. */
export const startBefore = (after: Place | undefined) => ({
  createdAt: after === undefined ? "infinity" : DateTime.formatIso(after.createdAt),
  id: after === undefined ? "ffffffff-ffff-ffff-ffff-ffffffffffff" : after.id,
})

/**
 * Makes a page of the rows of a query that asked for one row more than the page holds. `placeOf` tells
 * what the rows are ordered by.
 */
export const pageOf = <A>(
  rows: ReadonlyArray<A>,
  limit: number,
  placeOf: (row: A) => { readonly createdAt: DateTime.Utc; readonly id: string },
): Page<A> => {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return {
    items,
    next: rows.length > limit && last !== undefined ? new Place(placeOf(last)) : null,
  }
}
