/** What a flag chooses by name. */
import { Effect } from "effect"
import { Failure } from "./Failure.ts"

/** The parts of a list that a flag gives; fails if one of them does not exist. */
export const chosen = (list: string, existing: ReadonlyArray<string>) => {
  const names = list.split(",")
  const unknown = names.find((name) => !existing.includes(name))
  return unknown === undefined ? Effect.succeed(names) : Effect.fail(
    new Failure({ message: `There is no "${unknown}"; there are: ${existing.join(", ")}` }),
  )
}
