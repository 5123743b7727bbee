/**
 * Finds what a request target names among paths like `/v1/users/:id`.
 */

/** Anything in a path that can be read in more than one way. */
const unusual = /[^\w.~%@:!$&'()*+,=\/-]/

/** A query without anything that can. */
const plainQuery = /^(?:[\w.~%@:!$'()*,-]+=[\w.~%@:!$'()*,-]*(?:&|$))*$/

interface Node<Route> {
  readonly named: Map<string, Node<Route>>
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
  named: new Map(),
  parameter: undefined,
  routes: new Map(),
})

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
        const next = node.named.get(segment) ?? makeNode()
        node.named.set(segment, next)
        node = next
      }
    }
    node.routes.set(method, { route, parameters })
  }

  const find = (method: string, target: string): Match<Route> | undefined => {
    if (!target.startsWith("/")) return undefined
    const queryStart = target.indexOf("?")
    const path = target.slice(1, queryStart === -1 ? undefined : queryStart)
    if (unusual.test(path)) return undefined
    const values: Array<string> = []
    let node = root
    for (const segment of path.split("/")) {
      if (segment === "") return undefined
      const named = node.named.get(segment)
      const next = named ?? node.parameter
      if (next === undefined) return undefined
      if (named === undefined) values.push(decode(segment))
      node = next
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
