/**
 * Reads answered by replicas: which ones may be, and what becomes of the others.
 *
 * Nothing here can fail a read. Where no replica is to be had, or none is far enough, the primary answers.
 */
import {
  Cause,
  Clock,
  Context,
  Duration,
  Effect,
  Exit,
  Layer,
  Metric,
  Option,
  Schedule,
} from "effect"
import { PgClient } from "@effect/sql-pg"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { reasonOf } from "../background/ChangeLog.ts"
import { observeCounter } from "../background/observedMetric.ts"
import { runPeriodically } from "../background/runPeriodically.ts"
import * as Batcher from "../database/batching/Batcher.ts"
import * as Bulkhead from "../database/Bulkhead.ts"
import type { ConnectionParameters } from "../database/ConnectionParameters.ts"
import { interpretErrors } from "../database/Constraints.ts"
import * as Position from "../database/replica/Position.ts"
import * as Replica from "../database/replica/Replica.ts"
import { DatabaseUnavailable } from "../domain/DatabaseUnavailable.ts"
import { Migrator } from "../migrator/Migrator.ts"
import { LoginAttemptRepository } from "../repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../repositories/users/UserRepository.ts"
import { isReadOnly, requireReady } from "./ReadinessLayer.ts"

/** The text for a position that is not to be had: whoever reads at it reads from the primary. */
export const unknownPosition = "unknown"

/** What may be read of a replica: no failure counts, which writes are decided with. */
export interface Readers {
  readonly users: Pick<
    UserRepository["Service"],
    "count" | "getByEmail" | "getByGoogleId" | "getById" | "list" | "listByEmail" | "lookup"
  >
  readonly tokens: Pick<
    RefreshTokenRepository["Service"],
    "getByTokenHash" | "getValidByTokenHash" | "getValidWithUser" | "listForUser" | "listSessions"
  >
  readonly attempts: Pick<LoginAttemptRepository["Service"], "listForUser" | "listFrom">
}

/** What a read asks for. */
export interface Wish {
  /** The text of the position that it must have, where its client sent one. */
  readonly position: string | undefined
  /** Whether without a position the primary has to be asked: nothing may be out of date. */
  readonly isStrict: boolean
}

export interface ReplicasShape {
  /**
   * A text for clients: of a position that has all commits that were acknowledged so far, or, where it
   * is not to be had, one that has the primary asked.
   */
  readonly position: Effect.Effect<string>
  /** Reads from a replica, or else from the primary. */
  readonly read: <A, E>(
    wish: Wish,
    from: (readers: Readers) => Effect.Effect<A, E | DatabaseUnavailable>,
    primary: Readers,
  ) => Effect.Effect<A, E | DatabaseUnavailable>
}

/** None where the primary answers everything. */
export const Replicas = Context.Reference<ReplicasShape | undefined>(
  "latchkey/operations/Replicas",
  { defaultValue: () => undefined },
)

export interface ReplicasOptions<E> extends Replica.ReplicaOptions {
  /** The connection as the environment has it now. */
  readonly reload: Effect.Effect<Option.Option<ConnectionParameters>, E>
}

/** How long a replica may take for a read, in milliseconds: the primary has to have time for it yet. */
const patience = 1_000

/** How long the primary may take to tell a position, after a write that is done. */
const patienceForPosition = 1_000

/** How long replicas that have failed are left alone, at least. */
const rest = Duration.toMillis("10 seconds")

const interval = "3 seconds"

/** What was written so long ago has to be there, whoever reads. */
const tolerance = Duration.toMillis("10 seconds")

/**
 * SQLSTATEs that say nothing of a replica: a read was in the way of replaying the log, or took too long,
 * or its plan was stale; and that it is not as far as this read wants it.
 */
const passing: ReadonlyArray<string | null> = ["0A000", "40001", "40P01", "57014", Replica.behind]

const reads = Metric.counter("database_replica_reads_total", {
  description: "Reads that may be a replica's, by who answered",
  incremental: true,
})

/**
 * How an effect ends, and none where that takes longer. What is given up is not waited for: on a
 * connection that is dead it takes its time.
 */
const endOf = <A, E>(effect: Effect.Effect<A, E>, milliseconds: number) =>
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.callback<Option.Option<Exit.Exit<A, E>>>((resume) => {
      const fiber = Effect.runForkWith(context)(effect)
      const giveUp = () => {
        clearTimeout(timer)
        fiber.interruptUnsafe()
      }
      const timer = setTimeout(() => {
        resume(Effect.succeedNone)
        giveUp()
      }, milliseconds)
      fiber.addObserver((exit) => {
        clearTimeout(timer)
        resume(Effect.succeedSome(exit))
      })
      return Effect.sync(giveUp)
    })
  )

/** Whether replicas are asked, and what the log has of that. */
class Standing {
  isUp = false
  /** Why they are not. */
  private reason: string | undefined
  private restsUntil = 0
  private isTold = false

  constructor(private readonly clock: Clock.Clock) {}

  get isResting() {
    return this.clock.currentTimeMillisUnsafe() < this.restsUntil
  }

  /** A read has failed. */
  failed(reason: string) {
    this.leave(reason)
    this.restsUntil = this.clock.currentTimeMillisUnsafe() + rest
  }

  leave(reason: string) {
    this.isUp = false
    this.reason = reason
  }

  enter() {
    this.isUp = true
  }

  /** An entry when the replicas are left and one when they are asked again. */
  readonly tell = Effect.suspend(() => {
    if (this.isUp) {
      if (!this.isTold) return Effect.void
      this.isTold = false
      return Effect.logInfo("Reads are answered by replicas again")
    }
    if (this.isTold || this.reason === undefined) return Effect.void
    this.isTold = true
    return Effect.logWarning(`Reads are answered by the primary alone: ${this.reason}`)
  })
}

/** Asks the primary where it is, once for all who want to know at the same time. */
const makePosition = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const ask = Position.ofPrimary(sql).pipe(
    interpretErrors(),
    Effect.map(Option.match({ onNone: () => unknownPosition, onSome: Position.format })),
  )
  const batched = yield* Batcher.make({
    sql,
    name: "Replicas.position",
    reads: true,
    single: (_: void) => ask,
    batch: (calls) => Effect.map(ask, (text) => calls.map(() => Batcher.done(text))),
    decode: (text: string) => Effect.succeed(text),
  })
  return Effect.map(
    endOf(batched(), patienceForPosition),
    (end) => Option.isSome(end) && Exit.isSuccess(end.value) ? end.value.value : unknownPosition,
  )
})

/**
 * Takes note of where the primary is, and has replicas be as far as it was before: one that does not
 * follow it any more is found out, as soon as the primary goes on.
 */
const makeFollow = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  { require }: Replica.Replica,
) {
  const clock = yield* Clock.Clock
  let seen: ReadonlyArray<{ readonly at: number; readonly position: Position.Position }> = []
  return Effect.gen(function* () {
    const end = yield* endOf(Position.ofPrimary(sql), patienceForPosition)
    // While the primary is away there is nothing new that replicas could lack.
    if (Option.isNone(end) || Exit.isFailure(end.value) || Option.isNone(end.value.value)) return
    const now = clock.currentTimeMillisUnsafe()
    seen = [...seen, { at: now, position: end.value.value.value }]
    // At first, as far as the primary was at the start.
    const old = Math.max(0, seen.findLastIndex(({ at }) => now - at >= tolerance))
    seen = seen.slice(old)
    seen.slice(0, 1).forEach(({ position }) => require(position))
  })
})

/** Looks whether replicas can be used as they are, as the start does with the primary. */
const makeExamine = Effect.fnUntraced(function* ({ client, explain }: Replica.Replica) {
  const migrator = yield* Layer.build(
    Layer.provide(Layer.fresh(Migrator.layer), Layer.succeed(PgClient.PgClient, client)),
  )
  const ready = Effect.catchIf(requireReady, isReadOnly, () => Effect.void).pipe(
    Effect.provide(Context.add(migrator, PgClient.PgClient, client)),
    Effect.mapError(({ message }) => message),
  )
  return Effect.asVoid(client`SELECT`).pipe(
    Effect.mapError(explain),
    Effect.andThen(ready),
    Effect.withTracerEnabled(false),
  )
})

/** Repositories on the replicas: no instances that were made for requests. */
const makeReaders = Effect.fnUntraced(function* (
  { client }: Replica.Replica,
  { maxConnections, statementTimeout = Duration.infinity }: Replica.ReplicaOptions,
) {
  const context = yield* Layer.build(
    Layer.fresh(Layer.mergeAll(
      UserRepository.layer,
      RefreshTokenRepository.layer,
      LoginAttemptRepository.layer,
    )).pipe(
      Layer.provide(Layer.succeed(SqlClient.SqlClient, client)),
      Layer.provide(
        Layer.succeed(Bulkhead.Bulkhead, Bulkhead.make(maxConnections, statementTimeout)),
      ),
    ),
  )
  const readers: Readers = {
    users: Context.get(context, UserRepository),
    tokens: Context.get(context, RefreshTokenRepository),
    attempts: Context.get(context, LoginAttemptRepository),
  }
  return readers
})

const makeRead = Effect.fnUntraced(function* (
  replica: Replica.Replica,
  readers: Readers,
  standing: Standing,
) {
  let fromReplica = 0
  let fromPrimary = 0
  yield* observeCounter(
    Metric.withAttributes(reads, { outcome: "replica" }),
    () => fromReplica,
  )
  yield* observeCounter(
    Metric.withAttributes(reads, { outcome: "primary" }),
    () => fromPrimary,
  )

  /** Why the primary has to be asked after all, and whether that is for more than this read. */
  const failureOf = (cause: Cause.Cause<unknown>) => {
    if (Cause.hasDies(cause)) return { reason: reasonOf(cause), isPassing: false }
    const error = Cause.findErrorOption(cause)
    if (Option.isNone(error) || !(error.value instanceof DatabaseUnavailable)) return undefined
    const { code } = error.value
    return {
      reason: `A replica is unavailable${code === null ? "" : ` (${code})`}.`,
      isPassing: passing.includes(code),
    }
  }

  const read: ReplicasShape["read"] = ({ position, isStrict }, from, primary) =>
    Effect.suspend(() => {
      const askPrimary = Effect.suspend(() => {
        fromPrimary++
        return from(primary)
      })
      const wanted = position === undefined ? undefined : Position.parse(position)
      if (!standing.isUp) return askPrimary
      if (wanted === undefined ? isStrict : Option.isNone(wanted)) return askPrimary
      const asked = wanted === undefined || Option.isNone(wanted)
        ? from(readers)
        : replica.at(wanted.value)(from(readers))
      return Effect.flatMap(endOf(asked, patience), (end) => {
        if (Option.isNone(end)) {
          standing.failed("A replica does not answer in time.")
          return askPrimary
        }
        const failure = Exit.isFailure(end.value) ? failureOf(end.value.cause) : undefined
        if (failure === undefined) {
          fromReplica++
          return end.value
        }
        if (!failure.isPassing) standing.failed(failure.reason)
        return askPrimary
      })
    })
  return read
})

/** On the `SqlClient` of the primary. Nothing has to be there at the start. */
export const layer = <E>(options: ReplicasOptions<E>) =>
  Layer.effect(
    Replicas,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const replica = yield* Effect.provide(Replica.make(options), Reactivity.layer)
      const standing = new Standing(yield* Clock.Clock)
      const follow = yield* makeFollow(sql, replica)
      const examine = yield* makeExamine(replica)

      const look = Effect.gen(function* () {
        yield* follow
        if (standing.isResting) return
        const end = yield* endOf(examine, 2 * patience)
        if (Option.isNone(end)) standing.leave("A replica does not answer in time.")
        else if (Exit.isFailure(end.value)) standing.leave(reasonOf(end.value.cause))
        else standing.enter()
      })

      yield* runPeriodically({
        name: "replicas",
        failing: "Keeping previous DATABASE_READ_URL",
        recovered: "DATABASE_READ_URL can be used again",
        run: look.pipe(
          Effect.andThen(standing.tell),
          Effect.withTracerEnabled(false),
          Effect.andThen(options.reload),
          Effect.map(Option.map(replica.takeUp)),
        ),
        firstAfter: Duration.zero,
        schedule: Schedule.spaced(interval),
      })

      return {
        position: yield* makePosition(sql),
        read: yield* makeRead(replica, yield* makeReaders(replica, options), standing),
      } satisfies ReplicasShape
    }),
  )
