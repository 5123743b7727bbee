/**
 * How many threads answer requests, and what each may use.
 */

/** What threads share. */
interface Limits {
  readonly databasePoolSize: number
  readonly maxConnections: number
  readonly maxRequestsInFlight: number
}

/**
 * As many as are asked for; each more makes the batches of all smaller. Fewer where a limit would be
 * cut so small that one thread could be at its end while another one idles; one where connections
 * cannot be shared.
 */
export const countThreads = (
  { threads, databasePoolSize, maxConnections, maxRequestsInFlight }: Limits & {
    readonly threads: number
  },
  os: string,
): number => {
  // The kernel spreads the connections of one port over its listeners; elsewhere one gets them all.
  if (os !== "linux") return 1
  const possible = Math.min(databasePoolSize / 2, maxConnections / 100, maxRequestsInFlight / 16)
  return Math.max(1, Math.min(threads, Math.floor(possible)))
}

const part = (total: number, index: number, count: number) =>
  Math.floor(total / count) + (index < total % count ? 1 : 0)

/** The settings of one of several threads: together they keep to the limits of all. */
export const shareOf = <Settings extends Limits>(
  settings: Settings,
  index: number,
  count: number,
): Settings => ({
  ...settings,
  databasePoolSize: part(settings.databasePoolSize, index, count),
  maxConnections: part(settings.maxConnections, index, count),
  maxRequestsInFlight: part(settings.maxRequestsInFlight, index, count),
})
