/**
 * Marks the handler of an endpoint that writes: a client that hangs up does not interrupt it, so that
 * a write under way is finished and not undone.
 */
export const write = <Handler>(handler: Handler) => ({
  handler,
  options: { uninterruptible: true },
})
