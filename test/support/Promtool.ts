/**
 * Prometheus' own checks of metrics and rules.
 */
import { existsSync } from "node:fs"
import { Effect } from "effect"

/** Where Debian's package `prometheus` puts it. */
const program = "/usr/bin/promtool"

export const isInstalled = existsSync(program)

/** Runs it on an input, in a directory; gives its exit code and what it says. */
export const run = (
  args: ReadonlyArray<string>,
  { input = "", directory = "." }: { readonly input?: string; readonly directory?: string },
) =>
  Effect.promise(async () => {
    const child = new Deno.Command(program, {
      args: [...args],
      cwd: directory,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn()
    const writer = child.stdin.getWriter()
    await writer.write(new TextEncoder().encode(input))
    await writer.close()
    const { code, stdout, stderr } = await child.output()
    const decoder = new TextDecoder()
    return { code, said: decoder.decode(stdout) + decoder.decode(stderr) }
  })
