/** RESULTS.md: a section for each task that measures, of which a run replaces its own. */
import { Console, Effect } from "effect"
import { root } from "./contestants.ts"
import { output } from "./shell.ts"

export const results = new URL("RESULTS.md", import.meta.url).pathname

const titleOf = (section: string) => section.slice(0, section.indexOf("\n") + 1)

const sectionsOf = async (file: string) => {
  const written = await Deno.readTextFile(file).catch(() => "")
  return written.split(/^(?=# Results of )/m).filter((text) => text !== "")
}

const replace = async (file: string, section: string) => {
  const sections = await sectionsOf(file)
  const own = sections.findIndex((text) => titleOf(text) === titleOf(section))
  if (own === -1) sections.push(section)
  else sections[own] = section
  await Deno.writeTextFile(file, sections.map((text) => text.trimEnd()).join("\n\n") + "\n")
}

/** Writes a section, which begins with its title, and prints it. */
export const write = Effect.fnUntraced(function* (file: string, section: string) {
  yield* Effect.promise(() => replace(file, section))
  yield* output([Deno.execPath(), "fmt", "--quiet", file], { cwd: root })
  const sections = yield* Effect.promise(() => sectionsOf(file))
  yield* Console.log(sections.find((text) => titleOf(text) === titleOf(section))?.trimEnd())
})
