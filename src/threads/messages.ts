/**
 * What threads tell each other.
 */
import { Schema } from "effect"

/** How to connect to the embedded server. */
export const EmbeddedServer = Schema.Struct({
  host: Schema.String,
  port: Schema.Int,
  database: Schema.String,
  username: Schema.String,
})

/** What a thread has to know that the environment does not say. */
export class ThreadStart extends Schema.Class<ThreadStart>("ThreadStart")({
  index: Schema.Int,
  count: Schema.Int,
  /** Where all of them listen. */
  port: Schema.Int,
  embedded: Schema.NullOr(EmbeddedServer),
}) {}

/** To a thread: that it should stop. */
export const stop = "stop"

/** From a thread: what has become of it. */
export const ThreadReport = Schema.Union([
  Schema.Struct({ status: Schema.Literals(["listening", "stopped"]) }),
  Schema.Struct({ status: Schema.Literal("failed"), reason: Schema.String }),
])
export type ThreadReport = typeof ThreadReport.Type
