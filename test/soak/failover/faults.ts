/**
 * What is done to the cluster, each time until the service has got over it and the cluster is whole.
 */
import { Effect } from "effect"
import type { Behaviour, Proxy } from "../../faults/support/Proxy.ts"
import type { Cluster, Node } from "./Cluster.ts"
import type { Failure } from "./Failure.ts"
import type { Load } from "./Load.ts"

export interface Scene {
  readonly cluster: Cluster
  readonly load: Load
  readonly primary: Node
  /** Waits for a primary, other than this one where one is given, and for the service to follow. */
  readonly untilFollowed: (other?: Node) => Effect.Effect<void, Failure>
}

export interface Fault {
  readonly name: string
  /** The name in words, for the table. */
  readonly title: string
  readonly run: (scene: Scene) => Effect.Effect<void, Failure>
}

const behave = (proxies: ReadonlyArray<Proxy>, behaviour: Behaviour) =>
  Effect.forEach(proxies, (proxy) => proxy.behave(behaviour), { discard: true })

/** Cuts the network between the primary and others until another one is followed. */
const partition = (proxiesOf: (primary: Node) => ReadonlyArray<Proxy>): Fault["run"] =>
  Effect.fnUntraced(function* ({ primary, untilFollowed }) {
    yield* behave(proxiesOf(primary), { _tag: "Blackhole" })
    yield* untilFollowed(primary)
    yield* behave(proxiesOf(primary), { _tag: "Pass" })
  })

/** Longer than Patroni, once it goes on, takes by default to see that it is not the leader any more. */
const alone = "10 seconds"

export const faults: ReadonlyArray<Fault> = [
  {
    name: "kill",
    title: "primary killed",
    run: Effect.fnUntraced(function* ({ primary, untilFollowed }) {
      yield* primary.machine.signal("SIGKILL")
      yield* untilFollowed(primary)
      yield* primary.start
    }),
  },
  {
    name: "freeze-server",
    title: "PostgreSQL of the primary frozen, and thawed",
    run: Effect.fnUntraced(function* ({ primary, untilFollowed }) {
      yield* primary.machine.signal("SIGSTOP", "data")
      yield* untilFollowed(primary)
      yield* primary.machine.signal("SIGCONT")
    }),
  },
  {
    name: "freeze-machine",
    title: "primary's machine frozen; PostgreSQL thawed 10 s before Patroni",
    run: Effect.fnUntraced(function* ({ primary, untilFollowed }) {
      yield* primary.machine.signal("SIGSTOP")
      yield* untilFollowed(primary)
      yield* primary.machine.signal("SIGCONT", "data")
      yield* Effect.sleep(alone)
      yield* primary.machine.signal("SIGCONT")
    }),
  },
  {
    name: "partition",
    title: "primary cut off from all",
    run: partition(({ forService, forPeers }) => [forService, ...forPeers]),
  },
  {
    name: "partition-peers",
    title: "primary cut off from its peers and etcd, not from the service",
    run: partition(({ forPeers }) => forPeers),
  },
  {
    name: "etcd",
    title: "etcd killed, and started again",
    run: Effect.fnUntraced(function* ({ cluster, load, untilFollowed }) {
      yield* cluster.etcd.machine.signal("SIGKILL")
      yield* load.untilRefused(100)
      yield* cluster.etcd.start
      yield* untilFollowed()
    }),
  },
  {
    name: "switchover",
    title: "switchover by patronictl",
    run: Effect.fnUntraced(function* ({ cluster, primary, untilFollowed }) {
      yield* cluster.switchOver(primary)
      yield* untilFollowed(primary)
    }),
  },
  {
    name: "stop",
    title: "whole cluster stopped, and started again",
    run: Effect.fnUntraced(function* ({ cluster, load, untilFollowed }) {
      const machines = cluster.nodes.map(({ machine }) => machine)
      yield* Effect.forEach(machines, ({ signal }) => signal("SIGTERM", "rest"))
      yield* Effect.forEach(machines, ({ untilEmpty }) => untilEmpty)
      yield* cluster.etcd.machine.signal("SIGTERM")
      yield* cluster.etcd.machine.untilEmpty
      yield* load.untilRefused(100)
      yield* cluster.etcd.start
      yield* Effect.forEach(cluster.nodes, ({ start }) => start)
      yield* untilFollowed()
    }),
  },
]
