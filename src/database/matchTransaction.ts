import { Context, Effect } from "effect"
import type { SqlClient } from "effect/sql"

/** Does one thing inside of a transaction of the caller and another outside of any. */
export const matchTransaction = <A, E, R, A2, E2, R2>(
  { transactionService }: SqlClient.SqlClient,
  { inside, outside }: {
    readonly inside: () => Effect.Effect<A, E, R>
    readonly outside: () => Effect.Effect<A2, E2, R2>
  },
): Effect.Effect<A | A2, E | E2, R | R2> =>
  Effect.withFiber<A | A2, E | E2, R | R2>(({ context }) =>
    Context.getOrUndefined(context, transactionService) === undefined ? outside() : inside()
  )
