/**
 * Keeps Effect from carrying Node's asynchronous context along; to be imported before Effect is.
 *
 * Effect makes an `AsyncResource` for each fiber that waits, so that `AsyncLocalStorage` works across
 * it. Nothing in the service uses that, and with Deno it costs much of the processor time of a
 * request: each resource is registered for finalization, and what hangs on it lives until the next
 * full garbage collection. Effect asks for the module once, when it is loaded; whoever asks later gets
 * it. Where Effect takes it from somewhere else, nothing is lost but time.
 */
import process from "node:process"

const { getBuiltinModule } = process

const setGetBuiltinModule = (value: (id: string) => unknown) =>
  Object.defineProperty(process, "getBuiltinModule", { value })

setGetBuiltinModule((id) => {
  if (id !== "node:async_hooks") return getBuiltinModule(id)
  setGetBuiltinModule(getBuiltinModule)
  return undefined
})
