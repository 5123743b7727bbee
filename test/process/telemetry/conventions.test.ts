import { assert, describe, it } from "@effect/vitest"
import { makeConventionalLogs, unitOf } from "../../../src/process/telemetry/conventions.ts"
import { makeSummarize } from "../../../src/process/telemetry/statementSummary.ts"

describe("unitOf", () => {
  it.each([
    ["http_request_duration_seconds", "s"],
    ["background_task_last_success_timestamp_seconds", "s"],
    ["process_resident_memory_bytes", "By"],
    ["http_requests_in_flight", "{request}"],
    ["background_task_runs_total", "{run}"],
    ["background_task_failures_total", "{failure}"],
    ["telemetry_dropped_total", "{item}"],
    ["database_connections_in_use", "{connection}"],
    ["something_else", "1"],
  ])("%s: %s", (name, unit) => {
    assert.strictEqual(unitOf(name), unit)
  })
})

describe("makeSummarize", () => {
  it.each([
    ["SELECT id FROM public.users WHERE id = $1", "SELECT users"],
    ["\n  SELECT a, (SELECT b FROM public.users) FROM public.refresh_tokens", "SELECT users"],
    ["INSERT INTO public.users (email)\nSELECT $1", "INSERT users"],
    [
      "UPDATE public.users SET a = $1 WHERE id IN (SELECT id FROM public.users FOR UPDATE)",
      "UPDATE users",
    ],
    [
      "WITH spent AS (UPDATE public.refresh_tokens SET a = 1 RETURNING *) " +
      "INSERT INTO public.refresh_tokens SELECT FROM spent",
      "UPDATE refresh_tokens INSERT refresh_tokens",
    ],
    ["WITH a AS (SELECT 1) SELECT FROM a JOIN public.users ON true", "SELECT users"],
    ["DELETE FROM public.login_attempts WHERE id = ANY ($1)", "DELETE login_attempts"],
    ["INSERT INTO public.users (a) VALUES ($1) ON CONFLICT DO UPDATE SET a = 1", "INSERT users"],
    ["SELECT pg_try_advisory_xact_lock($1)", "SELECT"],
    ["SET LOCAL lock_timeout TO DEFAULT", "SET"],
    ["DO $$ BEGIN END $$", "DO"],
    ["", "SQL"],
  ])("%s: %s", (text, summary) => {
    const summarize = makeSummarize()
    assert.strictEqual(summarize(text), summary)
    assert.strictEqual(summarize(text), summary)
  })
})

describe("makeConventionalLogs", () => {
  it("cuts values and leaves attributes out, and says how many", () => {
    const cut = makeConventionalLogs({ attributeCount: 2, attributeLength: 3 })
    const { resourceLogs } = cut({
      resourceLogs: [{
        scopeLogs: [{
          logRecords: [{
            timeUnixNano: "1",
            observedTimeUnixNano: "1",
            droppedAttributesCount: 0,
            attributes: [
              { key: "a", value: { stringValue: "12345" } },
              { key: "b", value: { arrayValue: { values: [{ stringValue: "12345" }] } } },
              { key: "c", value: { intValue: 12345 } },
            ],
          }],
        }],
      }],
    })
    const [record] = resourceLogs[0]?.scopeLogs[0]?.logRecords ?? []
    assert.deepStrictEqual(record?.attributes, [
      { key: "a", value: { stringValue: "123" } },
      { key: "b", value: { arrayValue: { values: [{ stringValue: "123" }] } } },
    ])
    assert.strictEqual(record?.droppedAttributesCount, 1)
  })
})
