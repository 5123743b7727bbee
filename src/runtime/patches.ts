/**
 * Which patches of Node, Deno and Effect took hold; one that did not, after an upgrade perhaps, costs
 * time and nothing else. Imports nothing, because what must come before Effect reports here as well.
 */
const patches = new Map<string, boolean>()

/** Tells whether a patch took hold. */
export const report = (name: string, tookHold: boolean) => void patches.set(name, tookHold)

/** All of them, for the log. */
export const describe = () =>
  Array.from(patches, ([name, tookHold]) => `${name} ${tookHold ? "on" : "off"}`).join(", ")
