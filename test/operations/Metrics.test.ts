import { assert, describe, it } from "@effect/vitest"
import { addMetrics } from "../../src/operations/Metrics.ts"

const gauge = (value: number) =>
  `# HELP in_flight Requests\n# TYPE in_flight gauge\nin_flight ${value}`
const durations = (endpoint: string, count: number) =>
  `# HELP duration Time\n# TYPE duration histogram\n` +
  `duration_bucket{endpoint="${endpoint}",le="+Inf"} ${count}\n` +
  `duration_sum{endpoint="${endpoint}"} ${count / 4}\n` +
  `duration_count{endpoint="${endpoint}"} ${count}`

describe("metrics of several threads", () => {
  it("are summed, series by series", () => {
    assert.strictEqual(
      addMetrics([
        `${gauge(2)}\n${durations("a", 4)}\n`,
        `${gauge(3)}\n${durations("a", 8)}\n`,
      ]),
      `${gauge(5)}\n${durations("a", 12)}\n`,
    )
  })

  it("keep a series that only one of them has with the others of its name", () => {
    assert.strictEqual(
      addMetrics([`${durations("a", 1)}\n${gauge(1)}\n`, `${gauge(1)}\n${durations("b", 2)}\n`]),
      `${durations("a", 1)}\n${durations("b", 2).split("\n").slice(2).join("\n")}\n${gauge(2)}\n`,
    )
  })

  it("keep the earliest of several times: adding them up would make no sense", () => {
    const lastSuccess = (seconds: number) =>
      `# TYPE last_success_timestamp_seconds gauge\nlast_success_timestamp_seconds{task="a"} ${seconds}`
    assert.strictEqual(
      addMetrics([30, 10, 20].map((seconds) => `${lastSuccess(seconds)}\n`)),
      `${lastSuccess(10)}\n`,
    )
  })

  it("of one that has counted nothing yet change nothing", () => {
    assert.strictEqual(addMetrics([`${gauge(1)}\n`, ""]), `${gauge(1)}\n`)
    assert.strictEqual(addMetrics(["", ""]), "")
  })
})
