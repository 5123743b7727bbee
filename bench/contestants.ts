/** The servers that are compared: how each is installed, and how its users would start it. */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import denoJson from "../deno.json" with { type: "json" }
import { Failure } from "./Failure.ts"
import { apiKey } from "./operations.ts"
import fastify from "./peers/fastify/package.json" with { type: "json" }
import hono from "./peers/hono/deno.json" with { type: "json" }
import { aptInstall, output } from "./shell.ts"

/** A server that is ready to be started. */
export interface Contestant {
  readonly name: string
  readonly peer: boolean
  /** Whether it is held against the others' processor time as written in JavaScript. */
  readonly javaScript: boolean
  readonly versions: string
  readonly command: readonly [string, ...ReadonlyArray<string>]
  readonly directory: string
  readonly environment: (databaseUrl: URL, port: number) => Record<string, string>
}

export const root = new URL("..", import.meta.url).pathname
const peers = new URL("peers", import.meta.url).pathname
export const cache = new URL(".cache", import.meta.url).pathname

const peerEnvironment = (databaseUrl: URL, port: number) => ({
  DATABASE_URL: databaseUrl.href,
  PORT: String(port),
  API_KEY: apiKey,
})

const debianVersions = (...packages: ReadonlyArray<string>) =>
  output(["dpkg-query", "--show", "--showformat=${Package} ${Version}, ", ...packages]).pipe(
    Effect.map((text) => text.replaceAll(/python3-|golang-github-|-dev|,$/g, "")),
  )

const [program, ...startArgs] = denoJson.tasks.start.command.split(" ")

/** The command of `deno task start`. */
export const startCommand = [
  program === "deno" ? Deno.execPath() : program!,
  ...startArgs,
] as const

const latchkey = Effect.gen(function* () {
  return {
    name: "latchkey",
    peer: false,
    javaScript: true,
    versions: `latchkey ${denoJson.version}, Deno ${Deno.version.deno}`,
    command: startCommand,
    directory: root,
    environment: (databaseUrl, port) => ({
      DATABASE_URL: databaseUrl.href,
      PORT: String(port),
      API_KEYS: JSON.stringify([{
        name: "bench",
        sha256: createHash("sha256").update(apiKey).digest("hex"),
        scopes: ["*"],
      }]),
    }),
  } satisfies Contestant
})

const fastifyPg = Effect.gen(function* () {
  const directory = `${peers}/fastify`
  yield* output(["npm", "ci", "--prefer-offline", "--no-fund", "--no-audit"], { cwd: directory })
  const node = yield* output(["node", "--version"])
  return {
    name: "Fastify + pg",
    peer: true,
    javaScript: true,
    versions:
      `Fastify ${fastify.dependencies.fastify}, pg ${fastify.dependencies.pg}, Node ${node}`,
    command: ["node", "server.mjs"],
    directory,
    environment: peerEnvironment,
  } satisfies Contestant
})

const honoPostgres = Effect.gen(function* () {
  const directory = `${peers}/hono`
  yield* output([Deno.execPath(), "cache", "server.ts"], { cwd: directory })
  const version = (specifier: string) => specifier.slice(specifier.lastIndexOf("@") + 1)
  return {
    name: "Hono + postgres.js",
    peer: true,
    javaScript: true,
    versions: `Hono ${version(hono.imports.hono)}, postgres.js ` +
      `${version(hono.imports.postgres)}, zod ${version(hono.imports.zod)}, ` +
      `Deno ${Deno.version.deno}`,
    command: [Deno.execPath(), "run", "-A", "server.ts"],
    directory,
    environment: peerEnvironment,
  } satisfies Contestant
})

const fastApi = Effect.gen(function* () {
  const packages = ["fastapi", "sqlalchemy", "asyncpg", "uvicorn", "uvloop", "httptools"]
    .map((name) => `python3-${name}`)
  yield* aptInstall("python3", ...packages)
  return {
    name: "FastAPI + SQLAlchemy",
    peer: true,
    javaScript: false,
    versions: yield* debianVersions("python3", ...packages),
    // Debian's own Python, since no other one finds Debian's packages.
    command: ["/usr/bin/python3", "-m", "uvicorn", "main:app", "--no-access-log"],
    directory: `${peers}/fastapi`,
    environment: (databaseUrl, port) => {
      const url = new URL(databaseUrl)
      url.search = ""
      return {
        ...peerEnvironment(url, port),
        DATABASE_URL: url.href.replace(/^\w+:/, "postgresql+asyncpg:"),
        UVICORN_PORT: String(port),
        PYTHONDONTWRITEBYTECODE: "1",
      }
    },
  } satisfies Contestant
})

const goPgx = Effect.gen(function* () {
  yield* aptInstall("golang-go", "golang-github-jackc-pgx-v4-dev")
  const directory = `${peers}/go`
  const binary = `${cache}/go-peer`
  yield* output(["go", "build", "-o", binary, "main.go"], {
    cwd: directory,
    env: { GO111MODULE: "off", GOPATH: "/usr/share/gocode", GOCACHE: `${cache}/go-build` },
  })
  return {
    name: "Go + pgx",
    peer: true,
    javaScript: false,
    versions: yield* debianVersions("golang-go", "golang-github-jackc-pgx-v4-dev"),
    command: [binary],
    directory,
    environment: peerEnvironment,
  } satisfies Contestant
})

/** By the name that `--only` takes. */
export const contestants: Record<string, Effect.Effect<Contestant, Failure>> = {
  latchkey,
  fastify: fastifyPg,
  hono: honoPostgres,
  fastapi: fastApi,
  go: goPgx,
}
