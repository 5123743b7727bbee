/** RESULTS.md: a section for each task that measures, of which a run replaces its own. */
import { Console, Effect } from "effect"
import { root } from "./contestants.ts"
import { output } from "./shell.ts"

export const results = new URL("RESULTS.md", import.meta.url).pathname

const replaced = (written: string, section: string) => {
  const title = section.slice(0, section.indexOf("\n") + 1)
  const sections = written.split(/^(?=# Results of )/m).filter((text) => text !== "")
  const own = sections.findIndex((text) => text.startsWith(title))
  if (own === -1) sections.push(section)
  else sections[own] = section
  return sections.map((text) => text.trimEnd()).join("\n\n") + "\n"
}

/** Writes a section, which begins with its title, and prints the file. */
export const write = Effect.fnUntraced(function* (file: string, section: string) {
  yield* Effect.promise(async () => {
    const written = await Deno.readTextFile(file).catch(() => "")
    await Deno.writeTextFile(file, replaced(written, section))
  })
  yield* output([Deno.execPath(), "fmt", "--quiet", file], { cwd: root })
  yield* Console.log(yield* Effect.promise(() => Deno.readTextFile(file)))
})
