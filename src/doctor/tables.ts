/**
 * Whether what grows is cleaned up: by vacuum, and by retention.
 */
import { Duration, Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import type { SettingsShape } from "../config/Settings.ts"
import type { Check } from "./Check.ts"
import { ok, type Seen, warning } from "./Finding.ts"

interface Health {
  readonly table: string
  readonly live: number
  readonly dead: number
  /** In UTC, to the minute; null for never. */
  readonly vacuumed: string | null
  readonly autovacuum: boolean
}

const count = (rows: number) => rows.toLocaleString("en-US")

/** Autovacuum begins at a fifth of the rows; at twice that it is late, and small tables do not matter. */
export const judgeDeadRows = ({ autovacuum, dead, live, table, vacuumed }: Health): Seen => {
  const seen =
    `${table} has about ${count(live)} rows and ${count(dead)} dead ones; autovacuum was ` +
    `${vacuumed === null ? "never there yet" : `last there at ${vacuumed} UTC`}.`
  if (!autovacuum) {
    return warning(
      `Autovacuum is off for ${table}. ${seen}`,
      "Turn it on: ALTER SYSTEM SET autovacuum = on, or ALTER TABLE … RESET (autovacuum_enabled).",
    )
  }
  return dead > 10_000 + 0.4 * live
    ? warning(
      `Autovacuum does not keep up. ${seen}`,
      `Run VACUUM public.${table}, and look for transactions that are open for long, which hold it ` +
        "back.",
    )
    : ok(seen)
}

/** Dead rows, and the last autovacuum. */
export const deadRows: Check<SqlClient.SqlClient> = {
  group: "tables",
  name: "dead-rows",
  look: Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const found = yield* sql<Health>`
      SELECT
        relation.relname AS table,
        n_live_tup::float8 AS live,
        n_dead_tup::float8 AS dead,
        to_char(last_autovacuum, 'YYYY-MM-DD HH24:MI') AS vacuumed,
        current_setting('autovacuum')::boolean AND COALESCE(
          (
            SELECT option_value::boolean
            FROM pg_options_to_table(reloptions)
            WHERE option_name = 'autovacuum_enabled'
          ),
          true
        ) AS autovacuum
      FROM pg_catalog.pg_stat_user_tables AS statistics
      JOIN pg_catalog.pg_class AS relation ON relation.oid = relid
      WHERE schemaname = 'public'
        AND statistics.relname IN ('users', 'refresh_tokens', 'login_attempts')
      ORDER BY relation.relname`
    return found.map(judgeDeadRows)
  }),
}

/** How much longer than its policy a row may stay before somebody should know. */
const overdueAfter = (interval: Option.Option<Duration.Duration>) =>
  Option.match(interval, {
    // Somebody may clean up by the maintenance routes, with other days.
    onNone: () => Duration.days(30),
    onSome: (interval) => Duration.sum(Duration.times(interval, 3), Duration.hours(1)),
  })

const days = (seconds: number) => Math.floor(seconds / 86_400)

/** Whether rows are there that retention should have deleted. */
export const retention = (settings: SettingsShape): Check<SqlClient.SqlClient> => ({
  group: "tables",
  name: "retention",
  look: Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { retentionAttemptDays, retentionInterval, retentionTokenDays } = settings
    const late = Duration.toSeconds(overdueAfter(retentionInterval))
    // Each the first entry of an index.
    const [oldest] = yield* sql<
      { readonly tokens: number | null; readonly attempts: number | null }
    >`
      SELECT
        (SELECT extract(epoch FROM now() - min(expires_at))::float8 FROM public.refresh_tokens)
          AS tokens,
        (SELECT extract(epoch FROM now() - min(attempted_at))::float8 FROM public.login_attempts)
          AS attempts`
    const isLate = (age: number | null | undefined, policy: number) =>
      age !== null && age !== undefined && age > policy * 86_400 + late
    const todo = Option.isNone(retentionInterval)
      ? "Set RETENTION_INTERVAL, or have the maintenance routes called on a schedule."
      : "See why in the log of the service, or in latchkey_background_task_failures_total: see that a " +
        "service with RETENTION_INTERVAL runs."
    const seen = [
      ...isLate(oldest?.tokens, retentionTokenDays)
        ? [warning(
          `A token that expired ${days(oldest?.tokens ?? 0)} days ago is still there; the policy ` +
            `says ${retentionTokenDays}.`,
          todo,
        )]
        : [],
      ...isLate(oldest?.attempts, retentionAttemptDays)
        ? [warning(
          `A login attempt of ${days(oldest?.attempts ?? 0)} days ago is still there; the policy ` +
            `says ${retentionAttemptDays}.`,
          todo,
        )]
        : [],
    ]
    return seen.length > 0 ? seen : ok(
      Option.isNone(retentionInterval)
        ? "No row is long overdue; RETENTION_INTERVAL is not set, so somebody else must clean up."
        : "No row is overdue.",
    )
  }),
})
