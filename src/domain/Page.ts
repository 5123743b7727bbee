/**
 * Lists in parts: ordered by time of creation and id, continued after a row's place in that order,
 * so that what was there throughout is seen exactly once whatever is created or deleted meanwhile.
 */
import { Schema } from "effect"
import { Timestamp } from "./Timestamp.ts"
import { Uuid } from "./Uuid.ts"

/** A place in the order, whether or not a row is still there. */
export class Place extends Schema.Class<Place>("Place")({
  createdAt: Timestamp,
  id: Uuid,
}) {}

/** A part of a list; `next` continues it and is null at its end. */
export interface Page<out A> {
  readonly items: ReadonlyArray<A>
  readonly next: Place | null
}
