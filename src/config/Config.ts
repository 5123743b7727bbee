/**
 * Every environment variable that the service reads: what it wants, its default and its meaning.
 */
import { Schema } from "effect"
import { OnReuse } from "../domain/RefreshToken.ts"
import { apiKeysProblem } from "./apiKeysProblem.ts"
import * as Schemas from "./ConfigSchemas.ts"
import { optional, type Variable, variable } from "./ConfigVariable.ts"
import * as Telemetry from "./telemetry/variables.ts"

const aDuration = "a time with its unit, such as 10s, 500ms or 2 minutes, up to 24 days"

/** By the names of the settings that they become; {@link Settings} reads them. */
export const definitions = {
  host: variable(Schemas.host, {
    name: "HOST",
    default: "127.0.0.1",
    wants: "a name or an address to listen on, such as 0.0.0.0 or ::1, without port and brackets",
    meaning: "Address to listen on",
  }),
  port: variable(Schemas.integer(0, 65535), {
    name: "PORT",
    default: "8080",
    wants: "a port in digits, 0 to 65535",
    meaning: "Port to listen on; 0 takes a free one",
  }),
  databaseUrl: optional(Schema.RedactedFromValue(Schema.String), {
    name: "DATABASE_URL",
    default: "an embedded PostgreSQL under `DATA_DIR`",
    wants: "a URL such as postgres://user:password@host:5432/database",
    meaning: "PostgreSQL to use, 15 or later; libpq's URL with its `sslmode`",
    file: true,
  }),
  databaseCaFile: optional(Schema.String, {
    name: "DATABASE_CA_FILE",
    default: "the public certificate authorities",
    wants: "the path of a file with certificates in PEM form",
    meaning:
      "Certificates to trust for `DATABASE_URL`; without an `sslmode` it means `verify-full`",
  }),
  databasePoolSize: variable(Schemas.integer(1, 1000), {
    name: "DATABASE_POOL_SIZE",
    default: "10",
    wants: "a number of connections in digits, 1 to 1000",
    meaning:
      "Database connections for requests, at most; clean-ups and checks take 3 more per thread",
  }),
  threads: variable(Schemas.integer(1, 64), {
    name: "THREADS",
    default: "1",
    wants: "a number in digits, 1 to 64",
    meaning: "Threads that answer requests; they share the limits on connections and requests",
  }),
  dataDir: variable(Schema.String, {
    name: "DATA_DIR",
    default: ".data",
    wants: "the path of a directory",
    meaning: "Directory of the embedded PostgreSQL and the development key",
  }),
  apiKeys: optional(Schemas.apiKeys, {
    name: "API_KEYS",
    default: "a development key, on a loopback `HOST` only",
    wants: "a JSON list of at least one key, each pair of name and sha256 once, such as " +
      '[{"name":"auth-service","sha256":"<64 hexadecimal digits>","scopes":["users:read"]}]',
    meaning: "Who may call the service: names, SHA-256 of their keys, scopes",
    file: true,
    explain: apiKeysProblem,
  }),
  adminPort: optional(Schemas.integer(0, 65535), {
    name: "ADMIN_PORT",
    default: "that of the service",
    wants: "a port in digits, 0 to 65535",
    meaning: "Port of `/metrics` alone, and of `/livez` and `/readyz` as well; 0 takes a free one",
  }),
  accessLog: variable(Schema.Literals(["off", "errors", "all"]), {
    name: "ACCESS_LOG",
    default: "errors",
    wants: "one of off, errors, all",
    meaning:
      "Which requests have a log entry: `errors` are answers from 500 on, and refused callers",
  }),
  logLevel: variable(Schemas.logLevel, {
    name: "LOG_LEVEL",
    default: "info",
    wants: "one of all, trace, debug, info, warn, error, fatal, none",
    meaning: "Least severe log entries to print",
  }),
  logFormat: optional(Schema.Literals(["json", "logfmt", "pretty"]), {
    name: "LOG_FORMAT",
    default: "`pretty` on a terminal, otherwise `json`",
    wants: "one of json, logfmt, pretty",
    meaning: "How log entries are printed",
  }),
  otlpEndpoint: optional(Schemas.httpUrl, {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    default: "no export",
    wants: "an http or https URL, such as http://localhost:4318",
    meaning: "OpenTelemetry collector (OTLP over HTTP) for traces, metrics and logs",
    explain: Telemetry.credentialsProblem,
  }),
  shutdownTimeout: variable(Schemas.duration, {
    name: "SHUTDOWN_TIMEOUT",
    default: "10s",
    wants: aDuration,
    meaning: "How long a stop may take before what is left is cut off",
  }),
  shutdownDelay: variable(Schemas.duration, {
    name: "SHUTDOWN_DELAY",
    default: "1s",
    wants: aDuration,
    meaning: "How long a stop still takes requests, for balancers to learn of it from `/readyz`",
  }),
  requestBodyLimit: variable(Schemas.byteSize, {
    name: "REQUEST_BODY_LIMIT",
    default: "256 KiB",
    wants: "a size such as 256 KiB or 1 MB, or a number of bytes, up to 1 GiB",
    meaning: "Largest request body; beyond it the answer is 413",
  }),
  requestHeaderLimit: variable(Schemas.byteSize, {
    name: "REQUEST_HEADER_LIMIT",
    default: "16 KiB",
    wants: "a size such as 16 KiB, or a number of bytes, up to 1 GiB",
    meaning: "Largest request line and headers together; beyond it the answer is 431",
  }),
  maxConnections: variable(Schemas.integer(1, 100_000), {
    name: "MAX_CONNECTIONS",
    default: "10000",
    wants: "a number in digits, 1 to 100000",
    meaning: "Client connections at the same time; more are closed at once",
  }),
  maxRequestsInFlight: variable(Schemas.integer(1, 100_000), {
    name: "MAX_REQUESTS_IN_FLIGHT",
    default: "512",
    wants: "a number in digits, 1 to 100000",
    meaning: "Requests answered at the same time; beyond it the answer is 503 `overloaded`",
  }),
  statementTimeout: variable(Schemas.duration, {
    name: "STATEMENT_TIMEOUT",
    default: "5s",
    wants: aDuration,
    meaning: "How long one SQL statement may take",
  }),
  lockTimeout: variable(Schemas.duration, {
    name: "LOCK_TIMEOUT",
    default: "2s",
    wants: aDuration,
    meaning: "How long a write, or one SQL statement, may wait for locks",
  }),
  idleInTransactionTimeout: variable(Schemas.duration, {
    name: "IDLE_IN_TRANSACTION_TIMEOUT",
    default: "10s",
    wants: aDuration,
    meaning: "How long a transaction may idle before PostgreSQL ends its session",
  }),
  answerTimeout: variable(Schemas.duration, {
    name: "ANSWER_TIMEOUT",
    default: "15s",
    wants: aDuration,
    meaning: "How long an answer may take, the wait for a connection included; then it is 503",
  }),
  requestTimeout: variable(Schemas.duration, {
    name: "REQUEST_TIMEOUT",
    default: "10s",
    wants: aDuration,
    meaning: "How long a client may take to send a request",
  }),
  responseTimeout: variable(Schemas.duration, {
    name: "RESPONSE_TIMEOUT",
    default: "30s",
    wants: aDuration,
    meaning: "How long a client may take none of an answer that is being sent to it",
  }),
  keepAliveTimeout: variable(Schemas.duration, {
    name: "KEEP_ALIVE_TIMEOUT",
    default: "65s",
    wants: aDuration,
    meaning:
      "How long an idle HTTP connection is kept, longer than balancers do; then it is closed within 2 s",
  }),
  rotationGrace: variable(Schemas.rotationGrace, {
    name: "ROTATION_GRACE",
    default: "0s",
    wants: "a time with its unit in whole seconds, such as 30s, up to 60s; 0s for none",
    meaning: "How long after its rotation a token may be rotated once more, unless a request says",
  }),
  rotationOnReuse: variable(OnReuse, {
    name: "ROTATION_ON_REUSE",
    default: "report",
    wants: "one of report, revoke-session",
    meaning: "What becomes of the session of a reused token, unless a request says",
  }),
  retentionInterval: optional(Schemas.duration, {
    name: "RETENTION_INTERVAL",
    default: "no scheduled clean-up",
    wants: aDuration,
    meaning: "How often expired tokens and old login attempts are deleted",
  }),
  retentionTokenDays: variable(Schemas.integer(0, 36_500), {
    name: "RETENTION_TOKEN_DAYS",
    default: "7",
    wants: "a number of days in digits, 0 to 36500",
    meaning: "Days after its expiry from which the scheduled clean-up deletes a token",
  }),
  retentionAttemptDays: variable(Schemas.integer(0, 36_500), {
    name: "RETENTION_ATTEMPT_DAYS",
    default: "90",
    wants: "a number of days in digits, 0 to 36500",
    meaning: "Days from which the scheduled clean-up deletes a login attempt",
  }),
  startTimeout: variable(Schemas.wait, {
    name: "START_TIMEOUT",
    default: "10s",
    wants: "a time with its unit, such as 30s or 2 minutes, up to 24 days; 0s to try once",
    meaning: "How long the start waits for the database of `DATABASE_URL` while it is away",
  }),
  databaseReadUrl: optional(Schema.RedactedFromValue(Schema.String), {
    name: "DATABASE_READ_URL",
    default: "none: the primary answers all reads",
    wants: "a URL such as postgres://user:password@host1,host2:5432/database",
    meaning:
      "Replicas for reads, as many connections again; `prefer-standby` unless it says otherwise",
    file: true,
  }),
}

/** All variables, for the documentation, and for whoever must know which ones the service reads. */
export const variables: ReadonlyArray<Variable<unknown>> = [
  ...Object.values<Variable<unknown>>(definitions),
  ...Telemetry.variables,
]
