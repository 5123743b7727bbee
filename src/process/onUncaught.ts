/**
 * What nobody waits for, such as a callback of the platform, fails past every effect. The runtime
 * would print its stack, whatever the format of the log, and end.
 */

/** Hands on what nobody else catches in this thread, instead. */
export const onUncaught = (handle: (error: unknown) => void): void => {
  addEventListener("error", (event) => {
    event.preventDefault()
    handle(event.error)
  })
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault()
    handle(event.reason)
  })
}
