/**
 * How many connections fit into the limit on what a process may have open.
 *
 * Each connection is a file descriptor. Where they run out, no client is accepted any more, and what
 * else needs one fails: a connection to the database, a file with keys.
 */
import { Effect, Option } from "effect"

/** What is open besides connections: the listener, standard streams, event loops, files being read. */
const others = 64
const othersPerThread = 16

/** A clean-up's connections to the database, in each thread. */
const maintenancePerThread = 2

/**
 * What each thread may have open beyond its limit on connections: Deno 2.9.6 accepts as many in one turn
 * of its event loop, and those that are too many are closed at the end of it.
 */
const acceptedInOneTurn = 128

const perThread = othersPerThread + maintenancePerThread + acceptedInOneTurn

interface Limits {
  readonly maxConnections: number
  readonly databasePoolSize: number
  /** Replicas, which have a pool of the same size. */
  readonly databaseRead?: Option.Option<unknown>
  readonly threads: number
}

const parseLimit = (text: string | undefined): Option.Option<number> =>
  text !== undefined && /^\d+$/.test(text) ? Option.some(Number(text)) : Option.none()

const fromArguments = (): Option.Option<number> => {
  const prefix = "--open-files="
  const given = Deno.args.find((argument) => argument.startsWith(prefix))
  return parseLimit(given?.slice(prefix.length))
}

// https://man7.org/linux/man-pages/man5/proc_pid_limits.5.html
const fromSystem = Effect.tryPromise(() => Deno.readTextFile("/proc/self/limits")).pipe(
  // Deno has raised the soft limit to the hard one.
  Effect.map((limits) => parseLimit(/^Max open files +\S+ +(\S+)/m.exec(limits)?.[1])),
  // There is no such file on other systems, and none that a sandbox may read: nothing is known then.
  Effect.orElseSucceed(() => Option.none<number>()),
)

/**
 * The most files that this process may have open, if that is known: `--open-files` of the command line,
 * which `deno task serve` takes from its shell, or what Linux says.
 */
export const openFilesLimit: Effect.Effect<Option.Option<number>> = Effect.suspend(() => {
  const given = fromArguments()
  return Option.isSome(given) ? Effect.succeed(given) : fromSystem
})

export interface Fitted<Settings> {
  /** With as many connections, and threads for them, as there is room for. */
  readonly settings: Settings
  /** A sentence about it where that is less than was asked for. */
  readonly warning: Option.Option<string>
}

/** Fits the number of connections to the limit on open files. */
export const fitConnections = <Settings extends Limits>(
  settings: Settings,
  openFiles: Option.Option<number>,
): Fitted<Settings> => {
  if (Option.isNone(openFiles)) return { settings, warning: Option.none() }
  const pools = Option.isSome(settings.databaseRead ?? Option.none()) ? 2 : 1
  const left = openFiles.value - others - pools * settings.databasePoolSize
  // Threads may take half of it for themselves; the rest is for the connections.
  const threads = Math.max(1, Math.min(settings.threads, Math.floor(left / 2 / perThread)))
  const room = Math.max(1, left - threads * perThread)
  const maxConnections = Math.min(settings.maxConnections, room)
  if (maxConnections === settings.maxConnections && threads === settings.threads) {
    return { settings, warning: Option.none() }
  }
  return {
    settings: { ...settings, maxConnections, threads },
    warning: Option.some(
      `MAX_CONNECTIONS is ${settings.maxConnections} and THREADS is ${settings.threads}, but this ` +
        `process may have only ${openFiles.value} files open: it takes ${maxConnections} connections ` +
        `in ${threads === 1 ? "1 thread" : `${threads} threads`}. Raise the limit on open files ` +
        "(ulimit -n), or lower MAX_CONNECTIONS.",
    ),
  }
}
