/**
 * The keys that the service knows.
 */
import { hash, timingSafeEqual } from "node:crypto"
import { Context, Duration, Effect, Layer, Metric, Option, Schedule } from "effect"
import { observeGauge } from "../background/observedMetric.ts"
import { runPeriodically } from "../background/runPeriodically.ts"
import type { ApiKey, Scope } from "../domain/ApiKey.ts"

type Find = (key: string, connection?: object) => Option.Option<ApiKey>

/** Whether a key has a scope. */
export const mayUse = ({ scopes }: ApiKey, scope: Scope): boolean =>
  scopes.includes(scope) || scopes.includes("*")

/** Compares texts in a time that depends on their lengths only. */
const equalInConstantTime = (left: string, right: string): boolean => {
  if (left.length !== right.length) return false
  let difference = 0
  for (let index = 0; index < left.length; index++) {
    difference |= left.charCodeAt(index) ^ right.charCodeAt(index)
  }
  return difference === 0
}

const makeFind = (keys: ReadonlyArray<ApiKey>): Find => {
  const known = keys.map((key) => ({ key, digest: Buffer.from(key.sha256.toLowerCase()) }))
  const search = (key: string) => {
    const digest = Buffer.from(hash("sha256", key))
    // All are compared, each in constant time, so that the time taken tells nothing.
    const matching = known.filter((entry) => timingSafeEqual(entry.digest, digest))
    return Option.fromNullishOr(matching[0]?.key)
  }
  // A connection mostly carries the same key again, and hashing it costs more than finding its user.
  const last = new WeakMap<object, { readonly key: string; readonly found: Option.Some<ApiKey> }>()
  return (key, connection) => {
    const before = connection && last.get(connection)
    if (before !== undefined && equalInConstantTime(before.key, key)) return before.found
    const found = search(key)
    if (connection !== undefined && Option.isSome(found)) last.set(connection, { key, found })
    return found
  }
}

const nameOf = ({ name }: ApiKey) => name

const identityOf = ({ name, sha256 }: ApiKey) => JSON.stringify([name, sha256.toLowerCase()])

/** What changed, by the names of the keys; empty where nothing did. */
const changesOf = (before: ReadonlyArray<ApiKey>, after: ReadonlyArray<ApiKey>): string => {
  const scopesBefore = new Map(before.map((key) => [identityOf(key), String(key.scopes)]))
  const scopesAfter = new Map(after.map((key) => [identityOf(key), String(key.scopes)]))
  const isIn = (scopes: ReadonlyMap<string, string>) => (key: ApiKey) => scopes.has(identityOf(key))
  const groups = {
    added: after.filter((key) => !isIn(scopesBefore)(key)),
    removed: before.filter((key) => !isIn(scopesAfter)(key)),
    "other scopes for": after.filter((key) =>
      isIn(scopesBefore)(key) && scopesBefore.get(identityOf(key)) !== String(key.scopes)
    ),
  }
  return Object.entries(groups)
    .filter(([, keys]) => keys.length > 0)
    .map(([change, keys]) => `${change} ${keys.map(({ name }) => JSON.stringify(name)).join(", ")}`)
    .join("; ")
}

const keysGauge = Metric.gauge("api_keys", { description: "API keys that the service knows" })

export class ApiKeys extends Context.Service<ApiKeys, {
  /** The entry of a key, if it is known; faster for the one that the same connection had before. */
  readonly find: Find
  /** The names of those that are known now. */
  readonly names: () => ReadonlyArray<string>
}>()("latchkey/operations/ApiKeys") {
  /** Keys that stay as they are. */
  static readonly layer = (keys: ReadonlyArray<ApiKey>) =>
    Layer.effect(
      ApiKeys,
      Effect.as(
        observeGauge(keysGauge, () => keys.length),
        ApiKeys.of({ find: makeFind(keys), names: () => keys.map(nameOf) }),
      ),
    )

  /**
   * Keys that are loaded again and again, so that one can be added or withdrawn without a restart.
   * What cannot be loaded leaves the keys as they were.
   */
  static readonly layerReloading = <E extends { readonly message: string }, R>(
    keys: ReadonlyArray<ApiKey>,
    load: Effect.Effect<ReadonlyArray<ApiKey>, E, R>,
  ) =>
    Layer.effect(
      ApiKeys,
      Effect.gen(function* () {
        let current = keys
        let find = makeFind(keys)
        const reload = Effect.flatMap(load, (loaded) => {
          const changes = changesOf(current, loaded)
          if (changes === "") return Effect.void
          current = loaded
          find = makeFind(loaded)
          return Effect.logInfo(`Reloaded API keys: ${changes}`)
        })
        yield* runPeriodically({
          name: "api-keys",
          failing: "Keeping previous API keys",
          recovered: "The API keys can be read again",
          run: reload,
          firstAfter: Duration.seconds(5),
          schedule: Schedule.spaced("5 seconds"),
        })
        yield* observeGauge(keysGauge, () => current.length)
        return ApiKeys.of({
          find: (key, connection) => find(key, connection),
          names: () => current.map(nameOf),
        })
      }),
    )
}
