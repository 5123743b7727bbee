/** What a process and its descendants have used, as Linux counts it in /proc. */

/** The unit of /proc/<pid>/stat, which is the same on every Linux that Deno runs on. */
const ticksPerSecond = 100

interface Entry {
  readonly parent: number
  readonly ticks: number
}

const read = (pid: number): Entry | undefined => {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`)
    // The name, in parentheses, may contain blanks.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ").map(Number)
    // utime, stime, and those of the children that have ended.
    const ticks = fields[11]! + fields[12]! + fields[13]! + fields[14]!
    return { parent: fields[1]!, ticks }
  } catch {
    // It has ended in the meantime.
    return undefined
  }
}

const tree = (root: number): Map<number, Entry> => {
  const all = new Map<number, Entry>()
  for (const { name } of Deno.readDirSync("/proc")) {
    const entry = /^\d+$/.test(name) ? read(Number(name)) : undefined
    if (entry !== undefined) all.set(Number(name), entry)
  }
  const belongs = (pid: number): boolean =>
    pid === root || (all.has(pid) && belongs(all.get(pid)!.parent))
  return new Map([...all].filter(([pid]) => belongs(pid)))
}

/** Processor time so far, in seconds. */
export const cpuSeconds = (root: number): number =>
  [...tree(root).values()].reduce((sum, { ticks }) => sum + ticks, 0) / ticksPerSecond

/** The memory that a process has at the moment, in bytes. */
export const residentMemory = (pid: number): number => {
  const resident = /^VmRSS:\s*(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))
  return Number(resident?.[1] ?? 0) * 1024
}

/** The most memory that each of the processes has had, added up, in bytes. */
export const peakMemory = (root: number): number =>
  [...tree(root).keys()].reduce((sum, pid) => {
    const peak = /^VmHWM:\s*(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))
    return sum + Number(peak?.[1] ?? 0) * 1024
  }, 0)
