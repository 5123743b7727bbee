/**
 * Keeps Effect from carrying Node's asynchronous context along; to be imported before Effect is.
 *
 * Effect makes an `AsyncResource` for each fiber that waits, so that `AsyncLocalStorage` works across
 * it. Nothing in the service uses that, and with Deno it costs much of the processor time of a
 * request: each resource is registered for finalization, and what hangs on it lives until the next
 * full garbage collection.
 *
 * Relies on Effect asking `process.getBuiltinModule` for the module once, when it is loaded; whoever
 * asks later gets it. Checked with Effect 4.1.0 and Deno 2.9.6. Gain, guard and removal:
 * docs/performance.md.
 */
import process from "node:process"
import { report } from "./patches.ts"

const { getBuiltinModule } = process

const setGetBuiltinModule = (value: (id: string) => unknown) =>
  Object.defineProperty(process, "getBuiltinModule", { value })

report("async-hooks", false)

setGetBuiltinModule((id) => {
  if (id !== "node:async_hooks") return getBuiltinModule(id)
  setGetBuiltinModule(getBuiltinModule)
  report("async-hooks", true)
  return undefined
})
