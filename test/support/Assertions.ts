/**
 * Counts the assertions of each test, also of tests that run beside each other: Effect carries the
 * asynchronous context of a test into all of its fibers.
 */
import { AsyncLocalStorage } from "node:async_hooks"
import { chai } from "vitest"

const counters = new AsyncLocalStorage<{ assertions: number }>()

// Every function of `assert` and every matcher of `expect` ends in this method.
const { prototype } = chai.Assertion
const { assert } = prototype
prototype.assert = function (this: typeof prototype, ...args) {
  const counter = counters.getStore()
  if (counter !== undefined) counter.assertions++
  return assert.apply(this, args)
}

/** How many assertions were made while the function ran. */
export const countAssertions = async (run: () => Promise<void>) => {
  const counter = { assertions: 0 }
  await counters.run(counter, run)
  return counter.assertions
}
