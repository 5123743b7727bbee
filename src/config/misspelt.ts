/**
 * Variables whose names are nearly those of the service's: set by a slip of the pen, they would have no
 * effect, and nobody would know.
 */
import { variables } from "./Config.ts"
import { namesOf } from "./ConfigVariable.ts"

const known: ReadonlyArray<string> = variables.flatMap(namesOf)

/**
 * Letters that were added, left out, replaced or swapped with their neighbour, at least.
 *
 * @see https://en.wikipedia.org/wiki/Damerau%E2%80%93Levenshtein_distance (optimal string alignment)
 */
export const distance = (left: string, right: string): number => {
  let before: Array<number> = []
  let last = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const row = [i]
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1]
      const swapped = left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]
      row.push(Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (same ? 0 : 1),
        i > 1 && j > 1 && swapped ? (before[j - 2] ?? 0) + 1 : Infinity,
      ))
    }
    before = last
    last = row
  }
  return last[right.length] ?? 0
}

/** Of short names many others are near: HOME is to HOST as far as two slips. */
const slipsOf = (name: string) => name.length < 8 ? 1 : 2

/** As people name them, `LATCHKEY_PORT`, and `PORT_FILE` where no file may hold the value. */
const bare = (name: string) => name.replace(/^LATCHKEY_/, "").replace(/_FILE$/, "")

/** Kubernetes tells containers about a Service named `latchkey`: `LATCHKEY_PORT=tcp://10.0.0.1:8080`. */
const isOfKubernetes = (value: string) => /^(?:tcp|udp|sctp):\/\//.test(value)

const meant = (name: string): string | undefined => {
  const upper = name.toUpperCase()
  const shorter = bare(upper)
  return known.find((one) => one === upper || one === shorter) ??
    known.find((one) => distance(one, upper) <= slipsOf(one))
}

/** A sentence for each variable that nearly has the name of one of the service's. No value is told. */
export const misspelt = (environment: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  Object.entries(environment).flatMap(([name, value]) => {
    if (known.includes(name) || isOfKubernetes(value)) return []
    const other = meant(name)
    return other === undefined
      ? []
      : [`${name} is set, but is no variable of latchkey; ${other} is.`]
  })
