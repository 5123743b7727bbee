import { defineConfig } from "vitest/config"

export default defineConfig({
  root: `${import.meta.dirname}/..`,
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/support/globalSetup.ts",
    setupFiles: "test/support/requireAssertions.ts",
    pool: "forks",
    // No test changes what its process shares, and loading Effect anew for each file took a quarter of
    // the processor time of a run.
    isolate: false,
    // Most tests wait for PostgreSQL, for processes or for a clock, and not for a processor.
    maxWorkers: 4,
    sequence: { shuffle: { files: false, tests: true } },
    // So long that only what hangs reaches it, on a machine with much else to do as well.
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
})
