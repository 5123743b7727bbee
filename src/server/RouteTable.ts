/**
 * Finds what a request target names among paths like `/v1/users/:id`.
 */

/** Anything in a path that can be read in more than one way. */
const unusual = /[^\w.~%@:!$&'()*+,=\/-]/

/** A query without anything that can. */
const plainQuery = /^(?:[\w.~%@:!$'()*,-]+=[\w.~%@:!$'()*,-]*(?:&|$))*$/

interface Node<Route> {
  /** A few: comparing with each of them takes less time than to make and to hash a segment's text. */
  readonly named: Array<readonly [segment: string, node: Node<Route>]>
  /** What follows a segment that is a parameter. */
  parameter: Node<Route> | undefined
  readonly routes: Map<string, Endpoint<Route>>
}

interface Endpoint<Route> {
  readonly route: Route
  readonly parameters: ReadonlyArray<string>
}

/** What a target names, its parts decoded. */
export interface Match<Route> {
  readonly route: Route
  readonly parameters: Readonly<Record<string, string>>
  /** None where there is no `?`. */
  readonly query: Readonly<Record<string, string>> | undefined
}

const makeNode = <Route>(): Node<Route> => ({
  named: [],
  parameter: undefined,
  routes: new Map(),
})

/** What follows the segment of a path between two places, if it has a name. */
const findNamed = <Route>({ named }: Node<Route>, path: string, start: number, end: number) => {
  for (const [segment, node] of named) {
    if (segment.length === end - start && path.startsWith(segment, start)) return node
  }
  return undefined
}

const decode = (text: string) => text.includes("%") ? decodeURIComponent(text) : text

const parseQuery = (query: string) => {
  if (!plainQuery.test(query)) return undefined
  const parsed: Record<string, string> = {}
  for (const pair of query.split("&")) {
    if (pair === "") continue
    const separator = pair.indexOf("=")
    const name = decode(pair.slice(0, separator))
    // Which of two would count is for the router to say.
    if (name in parsed) return undefined
    parsed[name] = decode(pair.slice(separator + 1))
  }
  return parsed
}

/**
 * A table of paths. It finds nothing for what is unusual in any way: empty segments, characters that
 * routers disagree on, percent-encoding that is none, repeated parameters.
 */
export const makeRouteTable = <Route>(
  routes: Iterable<{ readonly method: string; readonly path: string; readonly route: Route }>,
) => {
  const root = makeNode<Route>()
  for (const { method, path, route } of routes) {
    const parameters: Array<string> = []
    let node = root
    for (const segment of path.slice(1).split("/")) {
      if (segment.startsWith(":")) {
        parameters.push(segment.slice(1))
        node = node.parameter ??= makeNode()
      } else {
        let next = findNamed(node, segment, 0, segment.length)
        if (next === undefined) {
          next = makeNode()
          node.named.push([segment, next])
        }
        node = next
      }
    }
    node.routes.set(method, { route, parameters })
  }

  const find = (method: string, target: string): Match<Route> | undefined => {
    if (!target.startsWith("/")) return undefined
    const queryStart = target.indexOf("?")
    const path = queryStart === -1 ? target : target.slice(0, queryStart)
    if (unusual.test(path)) return undefined
    const values: Array<string> = []
    let node = root
    for (let start = 1; start <= path.length;) {
      const slash = path.indexOf("/", start)
      const end = slash === -1 ? path.length : slash
      if (start === end) return undefined
      const named = findNamed(node, path, start, end)
      const next = named ?? node.parameter
      if (next === undefined) return undefined
      if (named === undefined) values.push(decode(path.slice(start, end)))
      node = next
      start = end + 1
    }
    const found = node.routes.get(method)
    if (found === undefined) return undefined
    const query = queryStart === -1 ? undefined : parseQuery(target.slice(queryStart + 1))
    if (queryStart !== -1 && query === undefined) return undefined
    const parameters: Record<string, string> = {}
    found.parameters.forEach((name, index) => {
      parameters[name] = values[index] ?? ""
    })
    return { route: found.route, parameters, query }
  }

  return (method: string, target: string): Match<Route> | undefined => {
    try {
      return find(method, target)
    } catch {
      // Percent-encoding that is none, which `decodeURIComponent` throws at.
      return undefined
    }
  }
}
