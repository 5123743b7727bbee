/**
 * Whether the service can take requests now.
 */
import { Context, Deferred, Effect, Layer, Ref } from "effect"

/** How long the database may take to say that it is there. */
const patience = "2 seconds"

/** Why it cannot: a name that anybody may read, and a sentence for the log. */
export interface Unready {
  readonly reason: string
  readonly message: string
}

/** The reason of a service that has been told to stop. */
export const stopping = "stopping"

const stopped: Unready = { reason: stopping, message: "The service is stopping." }

const silent: Unready = {
  reason: "database-unreachable",
  message: "The database does not answer in time.",
}

export class Readiness extends Context.Service<Readiness, {
  /** Fails with the reason when it cannot. */
  readonly check: Effect.Effect<void, Unready>
  /** From now on it cannot: the service is stopping. */
  readonly stop: Effect.Effect<void>
}>()("latchkey/operations/Readiness") {
  /**
   * `check` fails when the database cannot be used as it is. It runs once at a time, for all who want
   * to know meanwhile: nobody needs a key to do so. The log gets a line when its outcome changes.
   */
  static readonly layer = <R>(check: Effect.Effect<unknown, Unready, R>) =>
    Layer.effect(
      Readiness,
      Effect.gen(function* () {
        const scope = yield* Effect.scope
        const isStopping = yield* Ref.make(false)
        const last = yield* Ref.make<string | null>(null)
        const note = Effect.fnUntraced(function* (unready: Unready | null) {
          // What a stop does to the database is no news.
          if (yield* Ref.get(isStopping)) return
          const before = yield* Ref.getAndSet(last, unready?.reason ?? null)
          if (unready === null) {
            if (before !== null) yield* Effect.logInfo("Ready again")
          } else if (before !== unready.reason) {
            yield* Effect.logWarning(`Not ready (${unready.reason}): ${unready.message}`)
          }
        })
        const context = yield* Effect.context<R>()
        const once = check.pipe(
          Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail(silent) }),
          Effect.tapError(note),
          Effect.andThen(note(null)),
          Effect.provideContext(context),
        )
        let running: Deferred.Deferred<void, Unready> | undefined
        const shared = Effect.suspend(() => {
          if (running !== undefined) return Deferred.await(running)
          const result = running = Deferred.makeUnsafe<void, Unready>()
          // Not by the one who asked first, who may hang up.
          return once.pipe(
            Effect.onExit((exit) => {
              running = undefined
              return Deferred.done(result, exit)
            }),
            Effect.exit,
            Effect.forkIn(scope),
            Effect.andThen(Deferred.await(result)),
          )
        })
        return Readiness.of({
          check: Effect.flatMap(
            Ref.get(isStopping),
            (isStopping) => isStopping ? Effect.fail(stopped) : shared,
          ),
          stop: Ref.set(isStopping, true),
        })
      }),
    )
}
