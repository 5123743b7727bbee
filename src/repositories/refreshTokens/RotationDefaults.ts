import { Context } from "effect"
import type { OnReuse } from "../../domain/RefreshToken.ts"

/** What rotations do where the caller says nothing of it. */
export class RotationDefaults extends Context.Reference<{
  /** For how many seconds after its rotation a token may be rotated once more. */
  readonly graceSeconds: number
  /** What becomes of the session of a token that is used after it was rotated. */
  readonly onReuse: OnReuse
}>("latchkey/repositories/RotationDefaults", {
  defaultValue: () => ({ graceSeconds: 0, onReuse: "report" }),
}) {}
