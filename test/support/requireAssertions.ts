/**
 * Fails every test that asserts nothing: it passes whatever the code does. vitest's own
 * `requireAssertions` counts only those of `expect`.
 */
import { aroundEach } from "vitest"
import { countAssertions } from "./Assertions.ts"

aroundEach(async (runTest, { task }) => {
  const assertions = await countAssertions(runTest)
  if (assertions === 0 && task.result?.state === "pass") {
    throw new Error("The test asserts nothing")
  }
})
