/**
 * How far a server is in the log of its cluster (WAL): what a write has reached, and what a replica has
 * replayed.
 *
 * A place in the log alone says nothing of another cluster, nor of a branch of the same one: a replica
 * that did not follow a failover may be further than the new primary, with writes that were lost. So the
 * cluster and the timeline belong to it. A later timeline has what an earlier one had, as far as anybody
 * still has it. https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES
 */
import { Effect, Option, Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"

export interface Position {
  /** PostgreSQL's identifier of the cluster, in digits. */
  readonly cluster: string
  readonly timeline: number
  /** Bytes of the log. */
  readonly lsn: bigint
}

const pattern = /^(\d{1,20})\.(\d{1,10})\.(\d{1,20})$/

/** As clients get it, who need not understand it. */
export const format = ({ cluster, timeline, lsn }: Position): string =>
  `${cluster}.${timeline}.${lsn}`

/** None of a text that is not one. */
export const parse = (text: string): Option.Option<Position> => {
  const [, cluster, timeline, lsn] = pattern.exec(text) ?? []
  return cluster === undefined || timeline === undefined || lsn === undefined
    ? Option.none()
    : Option.some({ cluster, timeline: Number(timeline), lsn: BigInt(lsn) })
}

/** Whether whoever is at a position has all of another. */
export const isAt = (position: Position, wanted: Position): boolean =>
  position.cluster === wanted.cluster && position.timeline >= wanted.timeline &&
  position.lsn >= wanted.lsn

/** The place in the log alone: on whatever branch. */
export const isAsFar = (position: Position, wanted: Position): boolean =>
  position.cluster === wanted.cluster && position.lsn >= wanted.lsn

/**
 * Up to where the server is for certain. A standby: what it has replayed; its timeline is that of its
 * control file, which follows the one that it replays within `checkpoint_timeout`. A primary: what it has
 * flushed, which every commit is that was acknowledged, unless commits do not wait for that.
 */
export const statement = (sql: SqlClient.SqlClient) =>
  sql`
    SELECT
      (SELECT system_identifier FROM pg_catalog.pg_control_system())::pg_catalog.text AS cluster,
      CASE
        WHEN standby THEN (
          SELECT GREATEST(last.timeline_id, recovery.min_recovery_end_timeline)
          FROM pg_catalog.pg_control_checkpoint() AS last, pg_catalog.pg_control_recovery() AS recovery
        )
        ELSE (
          'x' || pg_catalog.substr(
            pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn()), 1, 8
          )
        )::pg_catalog.bit(32)::pg_catalog.int4
      END AS timeline,
      (
        CASE
          WHEN standby THEN pg_catalog.pg_last_wal_replay_lsn()
          WHEN pg_catalog.current_setting('synchronous_commit') = 'off'
            THEN pg_catalog.pg_current_wal_insert_lsn()
          ELSE pg_catalog.pg_current_wal_flush_lsn()
        END - '0/0'
      )::pg_catalog.text AS lsn,
      standby
    FROM (SELECT pg_catalog.pg_is_in_recovery() OFFSET 0) AS server (standby)`

const decode = Schema.decodeUnknownEffect(Schema.Tuple([Schema.Struct({
  cluster: Schema.String,
  timeline: Schema.Int,
  lsn: Schema.String,
  standby: Schema.Boolean,
})]))

/** What the statement gives: a position, and whether it is a standby's. */
export const fromRows = (rows: Effect.Effect<unknown, SqlError.SqlError>) =>
  Effect.map(Effect.flatMap(rows, decode), ([{ cluster, timeline, lsn, standby }]) => ({
    position: { cluster, timeline, lsn: BigInt(lsn) } satisfies Position,
    standby,
  }))

/** The position of the server that writes; none where a standby answers. */
export const ofPrimary = (sql: SqlClient.SqlClient) =>
  Effect.map(
    fromRows(statement(sql)),
    ({ position, standby }) => standby ? Option.none<Position>() : Option.some(position),
  )
