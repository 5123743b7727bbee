import { assert, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { type Call, makeClient } from "./support/Client.ts"
import * as Cluster from "./support/Cluster.ts"
import * as ServiceProcess from "./support/ServiceProcess.ts"
import { answered, aSignUp } from "./support/Stage.ts"

const metric = (text: string, outcome: string) =>
  Number(
    new RegExp(`^latchkey_database_replica_reads_total\\{outcome="${outcome}"\\} (\\d+)$`, "m")
      .exec(text)?.[1],
  )

/** The service on a primary, with a standby for reads that is used already. */
const make = Effect.gen(function* () {
  const { primary, standby } = yield* Cluster.makePair
  // A write is acknowledged without the standby, which may be killed.
  yield* primary.query(
    "ALTER SYSTEM SET synchronous_standby_names = ''",
    "SELECT pg_reload_conf()",
  )
  const service = yield* ServiceProcess.start({
    DATABASE_URL: ServiceProcess.databaseUrl(primary.connection),
    DATABASE_READ_URL: `${
      ServiceProcess.databaseUrl(standby.connection)
    }&target_session_attrs=standby`,
  })
  const stage = { service, client: yield* makeClient }

  const call = (status: number, call: Call) =>
    Effect.map(answered(stage, status, call), ({ answer }) => answer)

  const counts = Effect.map(
    call(200, { method: "GET", path: "/metrics" }),
    ({ text }) => ({ replica: metric(text, "replica"), primary: metric(text, "primary") }),
  )

  /** Reads, and tells who has answered. */
  const read = Effect.fnUntraced(function* (status: number, path: string, position?: string) {
    const before = yield* counts
    const answer = yield* call(status, {
      method: "GET",
      path,
      ...(position === undefined ? {} : { headers: { "latchkey-position": position } }),
    })
    const after = yield* counts
    assert.strictEqual(after.replica + after.primary, before.replica + before.primary + 1)
    return { answer, by: after.replica > before.replica ? "replica" : "primary" }
  })

  /** Writes, and gives the position. */
  const write = Effect.fnUntraced(function* (status: number, written: Call) {
    const answer = yield* call(status, written)
    const position = answer.headers["latchkey-position"]
    assert.match(position ?? "", /^\d+\.1\.\d+$/)
    return { answer, position }
  })

  const eventually = <A>(effect: Effect.Effect<A>, is: (value: A) => boolean) =>
    Effect.repeat(effect, { until: is, schedule: Schedule.spaced("50 millis") })
  const pause = standby.query("SELECT pg_wal_replay_pause()").pipe(
    Effect.andThen(eventually(
      standby.query("SELECT pg_get_wal_replay_pause_state() AS state"),
      ([row]) => JSON.stringify(row).includes('"paused"'),
    )),
  )
  const resume = standby.query("SELECT pg_wal_replay_resume()")

  yield* eventually(read(200, "/v1/users/count"), ({ by }) => by === "replica")
  return { primary, standby, service, call, counts, read, write, eventually, pause, resume }
})

const aUser = ({ write }: Effect.Success<typeof make>) =>
  Effect.map(write(201, aSignUp().call), ({ answer, position }) => ({
    id: String(answer.json["id"]),
    position,
  }))

it.live("a read has what was written at the position that it brings", () =>
  Effect.gen(function* () {
    const stage = yield* make
    const { read, write, eventually, pause, resume } = stage
    yield* pause
    const { id, position } = yield* aUser(stage)
    const path = `/v1/users/${id}`
    // The replica is asked, and has no such user yet.
    assert.strictEqual((yield* read(404, path)).by, "replica")
    assert.strictEqual((yield* read(200, path, position)).by, "primary")
    // The same by way of the router.
    assert.strictEqual((yield* read(404, `${path}?`)).by, "replica")
    assert.strictEqual((yield* read(200, `${path}?`, position)).by, "primary")
    for (const unknown of ["unknown", "", "1.1.0", `${position}0`, "9".repeat(100)]) {
      assert.strictEqual((yield* read(200, path, unknown)).by, "primary", unknown)
    }
    yield* resume
    yield* eventually(read(200, path, position), ({ by }) => by === "replica")
    yield* eventually(read(200, `${path}?`, position), ({ by }) => by === "replica")
    // Once it was there, it stays.
    yield* pause
    assert.strictEqual((yield* read(200, path, position)).by, "replica")
    assert.strictEqual((yield* read(200, path)).by, "replica")
    // Of a later timeline: the replica may have another branch of the log.
    const later = position?.replace(".1.", ".2.")
    assert.strictEqual((yield* read(200, path, later)).by, "primary")
    // By the router as well, and what is refused.
    const deleted = yield* write(204, { method: "DELETE", path })
    assert.strictEqual((yield* read(404, path, deleted.position)).by, "primary")
    yield* write(404, { method: "PATCH", path, json: { fullName: null } })
    yield* resume
  }))

it.live("under load each read has its write, by whomever it is answered", () =>
  Effect.gen(function* () {
    const stage = yield* make
    const { call, counts, pause, resume } = stage
    const before = yield* counts
    const writeAndRead = Effect.gen(function* () {
      const signedUp = yield* call(201, aSignUp().call)
      const path = `/v1/users/${String(signedUp.json["id"])}`
      const headers = { "latchkey-position": signedUp.headers["latchkey-position"] ?? "" }
      yield* call(200, { method: "GET", path, headers })
      const changed = yield* call(200, {
        method: "PATCH",
        path,
        json: { fullName: `Ada ${crypto.randomUUID()}` },
      })
      const { json } = yield* call(200, {
        method: "GET",
        path,
        headers: { "latchkey-position": changed.headers["latchkey-position"] ?? "" },
      })
      assert.strictEqual(json["fullName"], changed.json["fullName"])
    })
    yield* Effect.raceFirst(
      Effect.repeat(Effect.andThen(pause, resume), { schedule: Schedule.spaced("20 millis") }),
      Effect.all(Array.from({ length: 400 }, () => writeAndRead), {
        concurrency: 16,
        discard: true,
      }),
    )
    const after = yield* counts
    assert.isAbove(after.replica, before.replica)
    assert.isAbove(after.primary, before.primary)
  }))

it.live("a replica says of no token that it is valid unless it has its position", () =>
  Effect.gen(function* () {
    const stage = yield* make
    const { read, write, eventually, pause, resume } = stage
    const { id } = yield* aUser(stage)
    const tokenHash = "c".repeat(64)
    const path = `/v1/refresh-tokens/${tokenHash}`
    const { position } = yield* write(201, {
      method: "POST",
      path: "/v1/refresh-tokens",
      json: { userId: id, tokenHash, expiresAt: "2100-01-01T00:00:00Z" },
    })
    yield* eventually(read(200, `${path}/valid`, position), ({ by }) => by === "replica")
    yield* pause
    const revoked = yield* write(200, { method: "POST", path: `${path}/revoke`, json: {} })
    for (const question of [`${path}/valid`, `${path}/valid?include=user`]) {
      assert.strictEqual((yield* read(404, question)).by, "primary")
      assert.strictEqual((yield* read(404, question, revoked.position)).by, "primary")
    }
    const { answer, by } = yield* read(200, path)
    assert.strictEqual(by, "primary")
    assert.strictEqual(answer.json["isValid"], false)
    yield* resume
    yield* eventually(
      read(404, `${path}/valid`, revoked.position),
      ({ by }) => by === "replica",
    )
  }))

it.live("a replica that is away or does not follow is left alone until it can be used", () =>
  Effect.gen(function* () {
    const stage = yield* make
    const { standby, service, read, eventually, pause, resume } = stage
    yield* standby.kill
    const { id, position } = yield* aUser(stage)
    assert.strictEqual((yield* read(200, `/v1/users/${id}`)).by, "primary")
    assert.strictEqual((yield* read(200, `/v1/users/${id}`, position)).by, "primary")
    yield* service.said(/Reads are answered by the primary alone/)
    yield* standby.restart
    yield* eventually(read(200, "/v1/users/count"), ({ by }) => by === "replica")
    yield* service.said(/Reads are answered by replicas again/)

    yield* pause
    const next = yield* aUser(stage)
    yield* service.said(/by the primary alone: The replica cannot be used: it is too far behind/)
    assert.strictEqual((yield* read(200, `/v1/users/${next.id}`)).by, "primary")
    yield* resume
    yield* eventually(
      read(200, `/v1/users/${next.id}`, next.position),
      ({ by }) => by === "replica",
    )
  }))
