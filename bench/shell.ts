/** Programs that the benchmark calls. */
import { Effect } from "effect"
import { Failure } from "./Failure.ts"

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: Record<string, string>
}

/** What a program prints; fails with the end of what it complains about. */
export const output = (
  [program, ...args]: readonly [string, ...ReadonlyArray<string>],
  options: CommandOptions = {},
): Effect.Effect<string, Failure> =>
  Effect.tryPromise({
    try: () => new Deno.Command(program, { args, ...options, stdin: "null" }).output(),
    catch: (cause) => new Failure({ message: `${program} cannot be run: ${cause}` }),
  }).pipe(
    Effect.flatMap(({ success, stdout, stderr }) => {
      const text = new TextDecoder()
      return success ? Effect.succeed(text.decode(stdout).trim()) : Effect.fail(
        new Failure({
          message: `${program} ${args.join(" ")}: ${text.decode(stderr).trim().slice(-300)}`,
        }),
      )
    }),
  )

/** Installs Debian packages that are missing, where that is possible. */
export const aptInstall = (...packages: ReadonlyArray<string>): Effect.Effect<void, Failure> =>
  output(["dpkg-query", "--show", ...packages]).pipe(
    Effect.catch(() =>
      Deno.uid() === 0
        ? output(["apt-get", "update"]).pipe(
          Effect.andThen(
            output(["apt-get", "install", "--yes", "--no-install-recommends", ...packages], {
              env: { DEBIAN_FRONTEND: "noninteractive" },
            }),
          ),
        )
        : Effect.fail(
          new Failure({ message: `needs root to install the packages ${packages.join(", ")}` }),
        )
    ),
    Effect.asVoid,
  )
