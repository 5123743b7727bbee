/** The machine that the figures are from. */

const cpu = () =>
  /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "unknown processor"

export const describe = (): string => {
  const gibibytes = Math.round(Deno.systemMemoryInfo().total / 1024 ** 3)
  return `${navigator.hardwareConcurrency} × ${cpu()}, ${gibibytes} GiB of memory, Linux ` +
    `${Deno.osRelease()}; shared by the server, PostgreSQL and the load generator`
}
