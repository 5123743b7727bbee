/**
 * A service that does nothing but what its argument says, run as the real one is:
 *
 *     deno run -A test/support/scriptedService.ts SCRIPT
 */
import { Console, Effect, Layer } from "effect"
import { Fatal } from "../../src/background/Fatal.ts"
import { runService } from "../../src/process/runService.ts"

const started = Layer.effectDiscard(Effect.logInfo("started"))
const closing = (finalizer: Effect.Effect<unknown>) =>
  Layer.effectDiscard(
    Effect.addFinalizer(() => Effect.andThen(Effect.logInfo("closing"), finalizer)),
  )
const starting = <E>(effect: Effect.Effect<unknown, E>) =>
  Layer.effectDiscard(Effect.andThen(Effect.logInfo("starting"), effect))

const boom = () => {
  throw new Error("boom")
}
const later = (act: () => void) => Effect.sync(() => setTimeout(act))

const scripts: Record<string, Layer.Layer<never, Error, Fatal>> = {
  "stops in order": Layer.merge(started, closing(Console.log("closed"))),
  "hangs while it closes": Layer.merge(started, closing(Effect.never)),
  "breaks while it closes": Layer.merge(started, closing(Effect.sync(boom))),
  "waits while it starts": starting(Effect.never),
  "hangs while it starts": starting(Effect.uninterruptible(Effect.never)),
  "fails while it starts": starting(Effect.fail(new Error("The start has failed."))),
  "breaks while it starts": starting(Effect.sync(boom)),
  "throws past it while it starts": starting(Effect.andThen(later(boom), Effect.never)),
  "rejects past it while it starts": starting(
    Effect.andThen(later(() => void Promise.reject(new Error("boom"))), Effect.never),
  ),
  "throws past it once it runs": Layer.merge(
    started,
    Layer.effectDiscard(Effect.sync(() => setTimeout(boom, 100))),
  ),
  "has a part that ends": Layer.mergeAll(
    closing(Console.log("closed")),
    started,
    Layer.effectDiscard(Fatal.use(({ fail }) => fail("A part has ended."))),
  ),
  "has a part that ends, and hangs while it closes": Layer.mergeAll(
    closing(Effect.never),
    started,
    Layer.effectDiscard(Fatal.use(({ fail }) => fail("A part has ended."))),
  ),
}

const [script = ""] = Deno.args
runService(scripts[script] ?? Layer.effectDiscard(Effect.fail(new Error(`No script "${script}"`))))
