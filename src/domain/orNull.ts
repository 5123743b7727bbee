import { Schema } from "effect"

/**
 * A value or null, null tried first: `Schema.NullOr` lets the other schema refuse each null before,
 * with an issue that nobody reads.
 */
export const orNull = <S extends Schema.Top>(schema: S) => Schema.Union([Schema.Null, schema])
