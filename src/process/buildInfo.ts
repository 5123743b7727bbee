/**
 * What this is: the version that `deno.json` names, and the commit that it was made from.
 */
import denoJson from "../../deno.json" with { type: "json" }

export interface BuildInfo {
  /** As in `deno.json`. */
  readonly version: string
  /** 40 hexadecimal digits, or `unknown`. */
  readonly commit: string
  /** Deno's own version. */
  readonly deno: string
}

const root = new URL("../../", import.meta.url)

/** A small text file; undefined where there is none that may be read. */
const readText = (url: URL): string | undefined => {
  try {
    return Deno.readTextFileSync(url).trim()
  } catch {
    // The sandbox, an image or an installed package need not have it: then nothing is known.
    return undefined
  }
}

const asCommit = (text: string | undefined) =>
  text !== undefined && /^[0-9a-f]{40}$/.test(text) ? text : undefined

/** A directory that a file of Git names, absolute or beside that file. */
const directoryNamed = (path: string, from: URL) => new URL(`${path}/`, from)

/** Git's directory of the clone: `.git`, or where the file of that name leads in a worktree. */
const gitDirectory = (): URL => {
  const [, elsewhere] = /^gitdir: (.+)$/.exec(readText(new URL(".git", root)) ?? "") ?? []
  return elsewhere === undefined ? new URL(".git/", root) : directoryNamed(elsewhere, root)
}

/** https://git-scm.com/docs/gitrepository-layout */
const commitOfClone = (): string | undefined => {
  const directory = gitDirectory()
  const head = readText(new URL("HEAD", directory))
  const [, ref] = /^ref: (refs\/\S+)$/.exec(head ?? "") ?? []
  if (ref === undefined) return asCommit(head)
  const common = readText(new URL("commondir", directory))
  const shared = common === undefined ? directory : directoryNamed(common, directory)
  const packed = readText(new URL("packed-refs", shared))?.split("\n")
    .find((line) => line.endsWith(` ${ref}`))
  return asCommit(readText(new URL(ref, shared))) ?? asCommit(packed?.split(" ")[0])
}

let known: BuildInfo | undefined

/**
 * The facts, read once: the commit from `src/COMMIT`, which an image is built with, or else from the
 * clone that this runs in. It cannot fail.
 */
export const buildInfo = (): BuildInfo =>
  known ??= {
    version: denoJson.version,
    commit: asCommit(readText(new URL("src/COMMIT", root))) ?? commitOfClone() ?? "unknown",
    deno: Deno.version.deno,
  }
