/** What the set-up of the run hands to every test file. */
import "vitest"

declare module "vitest" {
  interface ProvidedContext {
    /** URL of the server's maintenance database. */
    readonly serverUrl: string
    /** Name of the migrated database to copy. */
    readonly template: string
  }
}
