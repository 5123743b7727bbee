/**
 * The command line of `deno task start` and `deno task serve`: what can be asked of the service without
 * starting it.
 */
import { NodeServices } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { buildInfo } from "./buildInfo.ts"
import { checkConfig, type Requirement } from "./checkConfig.ts"
import { runMain } from "./runMain.ts"

export interface Program {
  /** Runs the service as the process. */
  readonly run: () => void
  /** What its start needs besides variables that can be used. */
  readonly requirements: ReadonlyArray<Requirement>
}

const help = `Without an option: run the service until it is told to stop.

  --check-config  read the environment as a start would, say what is wrong with it (exit 1) or which
                  settings differ from their defaults (exit 0), and start nothing
  --version       print version, commit and Deno's version
  --help          print this`

/** One line: name, version, commit, and what it runs on. */
const versionLine = Effect.sync(() => {
  const { version, commit, deno } = buildInfo()
  return `latchkey ${version} (commit ${commit}, Deno ${deno})`
})

/** `deno task serve` passes on what its shell knows; `config/openFiles.ts` reads it. */
const isOfTheTask = (argument: string) => argument.startsWith("--open-files=")

/** Does what the arguments ask for, and runs the service where they ask for nothing. */
export const runAsAsked = (args: ReadonlyArray<string>, { run, requirements }: Program): void => {
  const [option, ...others] = args.filter((argument) => !isOfTheTask(argument))
  if (option === undefined) return run()
  if (others.length === 0) {
    switch (option) {
      case "--version":
        return runMain(Effect.flatMap(versionLine, Console.log))
      case "--check-config":
        return runMain(Effect.provide(checkConfig(requirements), NodeServices.layer))
      case "--help":
        return runMain(Console.log(help))
    }
  }
  // A start in place of what was asked for would be a surprise.
  return runMain(Effect.fail({ message: `There is no such option or combination.\n\n${help}` }))
}
