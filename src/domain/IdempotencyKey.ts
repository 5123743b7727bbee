import { Schema } from "effect"

/** The key belongs to a row that another request created. */
export class IdempotencyKeyReused
  extends Schema.TaggedError<IdempotencyKeyReused>()("IdempotencyKeyReused", {}) {
  override readonly message = "The Idempotency-Key belongs to a request with another body"
}
