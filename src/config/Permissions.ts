/**
 * What the service has to be allowed to do on an external database, as flags for `deno run`: listen
 * on its address, reach the database and the collector, read its variables, files and migrations.
 */
import { Array, Option } from "effect"
import { type ServerParameters, serversOf } from "../database/ConnectionParameters.ts"
import { variables } from "./Config.ts"
import { namesOf } from "./ConfigVariable.ts"
import type { SettingsShape } from "./Settings.ts"
import type { ExportSettings } from "./telemetry/TelemetrySettings.ts"
import { refused } from "./telemetry/variables.ts"

export interface Permissions {
  readonly flags: ReadonlyArray<string>
  /** Sentences about paths that no flag can name; the service will not be able to use them. */
  readonly problems: ReadonlyArray<string>
}

/** The flags become words of a shell, and lists, in which these characters mean something else. */
const unusable = /[\s,*?[]/

const flag = (name: string, values: ReadonlyArray<string>) =>
  values.length === 0 ? [] : [`--allow-${name}=${Array.dedupe(values).join(",")}`]

const environment = flag("env", [...variables.flatMap(namesOf), ...Object.keys(refused)])

/**
 * Enough to find, in the sandbox, what is wrong with the environment, and say it: to read whatever
 * file it names, and reach nothing.
 */
export const toReport: ReadonlyArray<string> = [...environment, "--allow-read"]

const address = (host: string, port: number | string) =>
  host.includes(":") && !host.startsWith("[") ? `[${host}]:${port}` : `${host}:${port}`

/**
 * A name is looked up, and what it stands for is listened on: either has to be allowed. Threads listen
 * where the first one does, so a port that is not known yet cannot be named.
 */
const ofListeners = (
  { host, port, adminPort }: SettingsShape,
  addressesOfHost: ReadonlyArray<string>,
) =>
  [host, ...addressesOfHost].flatMap((host) =>
    [port, ...Option.toArray(adminPort)].map((port) =>
      port === 0 ? address(host, port).replace(/:0$/, "") : address(host, port)
    )
  )

/**
 * Besides the migrations: the modules of a further thread are files that the service reads. Of a clone,
 * what names its commit, and not the address of its remote, which may hold a password.
 */
const ownFiles = ["migrations", "src", "deno.json", ".git/HEAD", ".git/packed-refs", ".git/refs"]

const ofCollector = ({ url }: ExportSettings) => {
  const { hostname, port, protocol } = new URL(url)
  return address(hostname, port || (protocol === "https:" ? 443 : 80))
}

const ofServer = ({ host = "localhost", port = 5432 }: ServerParameters) =>
  host.startsWith("/")
    ? { sockets: [`${host}/.s.PGSQL.${port}`], servers: [] }
    : { sockets: [], servers: [address(host, port)] }

export interface Surroundings {
  /** The files that the environment names. */
  readonly namedFiles: ReadonlyArray<string>
  /** What `HOST` stands for where it is a name. */
  readonly addressesOfHost: ReadonlyArray<string>
}

/** The permissions for these settings, in these surroundings. */
export const permissions = (
  settings: SettingsShape,
  { namedFiles, addressesOfHost }: Surroundings,
): Permissions => {
  const databases = [settings.database, settings.databaseRead].flatMap(Option.toArray)
  const places = databases.flatMap(({ parameters }) => serversOf(parameters).map(ofServer))
  const sockets = places.flatMap(({ sockets }) => sockets)
  const servers = places.flatMap(({ servers }) => servers)
  // Without keys the service makes one, and keeps it there.
  const makesKey = Option.isNone(settings.apiKeys)
  const writable = [...sockets, ...makesKey ? [settings.dataDir] : []]
  const { traces, metrics, logs, files } = settings.telemetry
  const readable = [
    ...namedFiles,
    ...databases.flatMap(({ files }) => files),
    ...files,
    ...writable,
  ]
  const isUsable = (path: string) => !unusable.test(path)
  return {
    flags: [
      ...environment,
      ...flag("net", [
        ...ofListeners(settings, addressesOfHost),
        ...servers,
        ...sockets.filter(isUsable).map((socket) => `unix:${socket}`),
        ...[traces, metrics, logs].flatMap((exported) => Option.toArray(exported)).map(ofCollector),
      ]),
      ...flag("read", [...ownFiles, ...readable.filter(isUsable)]),
      ...flag("write", writable.filter(isUsable)),
      // To know its own files from those of others.
      ...flag("sys", makesKey ? ["uid"] : []),
    ],
    problems: Array.dedupe(readable).filter((path) => !isUsable(path)).map((path) =>
      `The sandbox cannot let ${path} be used; name a path without blanks, commas and *?[.`
    ),
  }
}
