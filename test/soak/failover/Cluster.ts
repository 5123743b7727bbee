/**
 * Three PostgreSQL servers that Patroni keeps as a primary, a synchronous standby and another one, by
 * means of one etcd. Between all of them, and before the service, are proxies that can be cut.
 */
import { Effect } from "effect"
import { findAccount, isRoot } from "../../../src/embedded/Account.ts"
import * as Proxy from "../../faults/support/Proxy.ts"
import { Failure } from "./Failure.ts"
import * as Machine from "./Machine.ts"

const binaries = "/usr/lib/postgresql/15/bin"

/** What has to be there, and the Debian package that has it. */
const requirements = [
  ["/usr/bin/patroni", "patroni"],
  ["/usr/lib/python3/dist-packages/etcd", "python3-etcd"],
  ["/usr/bin/etcd", "etcd-server"],
  [`${binaries}/postgres`, "postgresql-15"],
] as const

const exists = (path: string) => {
  try {
    Deno.statSync(path)
    return true
  } catch {
    return false
  }
}

/** Fails with a sentence where Debian's packages are not installed. */
export const requirePackages = Effect.suspend(() => {
  const missing = requirements.filter(([path]) => !exists(path)).map(([, name]) => name)
  return missing.length === 0 ? Effect.void : Effect.fail(
    new Failure({
      message: `Missing here: ${missing.join(", ")}; install with ` +
        `\`apt-get install --no-install-recommends ${missing.join(" ")}\`.`,
    }),
  )
})

/** A port of this machine that is free now. */
const freePort = Effect.sync(() => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 })
  listener.close()
  return listener.addr.port
})

const loopback = "127.0.0.1"
const toPort = (port: number) => ({ host: loopback, port })

export interface Node {
  readonly name: string
  readonly machine: Machine.Machine
  /** Of the server itself, past the proxies. */
  readonly port: number
  /** Before the server, for the service alone. */
  readonly forService: Proxy.Proxy
  /** All that leads to the node and from it to etcd, but for the service's. */
  readonly forPeers: ReadonlyArray<Proxy.Proxy>
  readonly start: Effect.Effect<void>
  /** Whether it is the primary by its own account, which may be out of date. */
  readonly isPrimary: Effect.Effect<boolean>
}

const asks = (port: number, path: string) =>
  Effect.promise(async () => {
    try {
      const signal = AbortSignal.timeout(1000)
      const response = await fetch(`http://${loopback}:${port}${path}`, { signal })
      return { ok: response.ok, text: await response.text() }
    } catch {
      return { ok: false, text: "" }
    }
  })

interface Ports {
  readonly postgres: number
  readonly api: number
  readonly postgresForPeers: number
  readonly apiForPeers: number
  readonly etcd: number
}

/** Short times, so that a failover takes seconds; still longer than a busy machine is silent for. */
const shared = {
  ttl: 8,
  loop_wait: 1,
  retry_timeout: 3,
  maximum_lag_on_failover: 16_777_216,
  synchronous_mode: true,
  postgresql: {
    use_pg_rewind: true,
    use_slots: true,
    remove_data_directory_on_rewind_failure: true,
    remove_data_directory_on_diverged_timelines: true,
    parameters: { shared_buffers: "32MB", wal_log_hints: "on", max_connections: 60 },
  },
}

/** https://patroni.readthedocs.io/en/latest/yaml_configuration.html, of which JSON is a part. */
const configurationOf = (name: string, { directory }: Machine.Machine, ports: Ports) => ({
  scope: "latchkey",
  name,
  restapi: {
    listen: `${loopback}:${ports.api}`,
    connect_address: `${loopback}:${ports.apiForPeers}`,
  },
  // By version 2 of its interface: with version 3, Patroni before 3.0.3 lets a primary that was frozen
  // take the lock from the new one, so that both write (https://github.com/patroni/patroni/pull/2689).
  etcd: { hosts: [`${loopback}:${ports.etcd}`], use_proxies: true },
  bootstrap: { dcs: shared, initdb: [{ encoding: "UTF8" }, { locale: "C.UTF-8" }] },
  postgresql: {
    listen: `${loopback}:${ports.postgres}`,
    connect_address: `${loopback}:${ports.postgresForPeers}`,
    use_unix_socket: true,
    use_unix_socket_repl: true,
    data_dir: `${directory}/data`,
    bin_dir: binaries,
    pgpass: `${directory}/pgpass`,
    authentication: {
      superuser: { username: "postgres" },
      replication: { username: "replicator" },
    },
    parameters: { unix_socket_directories: directory },
    pg_hba: [
      "local all,replication all trust",
      `host all,replication all ${loopback}/32 trust`,
    ],
  },
  tags: {},
})

const makeNode = Effect.fnUntraced(function* (
  name: string,
  machine: Machine.Machine,
  etcdPort: number,
) {
  const port = yield* freePort
  const api = yield* freePort
  const forService = yield* Proxy.make(toPort(port))
  const postgresForPeers = yield* Proxy.make(toPort(port))
  const apiForPeers = yield* Proxy.make(toPort(api))
  const toEtcd = yield* Proxy.make(toPort(etcdPort))
  const configuration = configurationOf(name, machine, {
    postgres: port,
    api,
    postgresForPeers: postgresForPeers.port,
    apiForPeers: apiForPeers.port,
    etcd: toEtcd.port,
  })
  const file = `${machine.directory}/patroni.json`
  yield* Effect.sync(() => Deno.writeTextFileSync(file, JSON.stringify(configuration)))
  const node: Node = {
    name,
    machine,
    port,
    forService,
    forPeers: [postgresForPeers, apiForPeers, toEtcd],
    start: machine.start("/usr/bin/patroni", [file]),
    isPrimary: Effect.map(asks(api, "/primary"), ({ ok }) => ok),
  }
  return { node, members: Effect.map(asks(api, "/cluster"), ({ text }) => text) }
})

export interface Cluster {
  readonly nodes: ReadonlyArray<Node>
  readonly etcd: {
    readonly machine: Machine.Machine
    readonly start: Effect.Effect<void>
  }
  /** `DATABASE_URL` with all servers, for a role without a password. */
  readonly urlFor: (role: string, database: string) => string
  /** Waits for a primary other than this one, by its own account. */
  readonly untilPrimary: (other?: Node) => Effect.Effect<Node, Failure>
  /** Waits until each node has its part: one primary, a synchronous standby, another standby. */
  readonly untilWhole: Effect.Effect<void, Failure>
  /** Has Patroni move the primary to the synchronous standby. */
  readonly switchOver: (from: Node) => Effect.Effect<void, Failure>
}

const names = ["one", "two", "three"]

/** The parts of the members, sorted, where all of them run. */
const partsIn = (members: string) => {
  const roles = [...members.matchAll(/"role": "(\w+)", "state": "(?:running|streaming)"/g)]
  return roles.map(([, role]) => role).toSorted().join()
}

/** Where a cluster's processes and files are until the scope closes. */
const makeDirectory = Effect.acquireRelease(
  Effect.sync(() => {
    const directory = Deno.makeTempDirSync({ prefix: "latchkey-failover-" })
    Deno.chmodSync(directory, 0o755)
    return directory
  }),
  (directory) => Effect.promise(() => Deno.remove(directory, { recursive: true })),
)

const makeEtcd = Effect.fnUntraced(function* (machine: Machine.Machine) {
  const port = yield* freePort
  const url = `http://${loopback}:${port}`
  const peers = `http://${loopback}:${yield* freePort}`
  const start = machine.start("/usr/bin/etcd", [
    "--data-dir=data",
    "--enable-v2",
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peers}`,
    `--initial-advertise-peer-urls=${peers}`,
    `--initial-cluster=default=${peers}`,
  ])
  return { machine, start, port }
})

/** Starts all of it, and waits until it is whole. */
export const make = Effect.gen(function* () {
  const directory = yield* makeDirectory
  const account = (yield* isRoot) ? yield* findAccount("postgres") : undefined
  const etcd = yield* makeEtcd(yield* Machine.make(`${directory}/etcd`, account))
  const made = yield* Effect.forEach(names, (name) =>
    Effect.flatMap(
      Machine.make(`${directory}/${name}`, account),
      (machine) => makeNode(name, machine, etcd.port),
    ))
  const nodes = made.map(({ node }) => node)

  const primary = (other?: Node) =>
    Effect.gen(function* () {
      for (const node of nodes) if (node !== other && (yield* node.isPrimary)) return node
      return undefined
    })
  const untilPrimary = Effect.fnUntraced(function* (other?: Node) {
    let found: Node | undefined
    const look = Effect.map(primary(other), (node) => (found = node) !== undefined)
    yield* Machine.until("a primary", look)
    return found ?? (yield* new Failure({ message: "No primary" }))
  })
  const isWhole = Effect.map(
    Effect.forEach(made, ({ members }) => members),
    (views) => views.every((view) => partsIn(view) === "leader,replica,sync_standby"),
  )

  const cluster: Cluster = {
    nodes,
    etcd,
    urlFor: (role, database) => {
      const servers = nodes.map(({ forService }) => `${loopback}:${forService.port}`)
      return `postgres://${role}@${servers.join()}/${database}` +
        "?target_session_attrs=read-write&sslmode=disable"
    },
    untilPrimary,
    untilWhole: Machine.until("a cluster that is whole", isWhole, 120),
    switchOver: ({ name, machine }) =>
      Effect.asVoid(machine.run("/usr/bin/patronictl", [
        ...["-c", `${machine.directory}/patroni.json`],
        ...["switchover", "latchkey", "--master", name, "--force"],
      ])),
  }
  yield* etcd.start
  yield* Effect.forEach(nodes, ({ start }) => start)
  yield* cluster.untilWhole
  return cluster
})
