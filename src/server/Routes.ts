/**
 * Which endpoint a request is for, and what has to be known of that before anything else is looked at.
 */
import { Context, Option } from "effect"
import { FindMyWay } from "effect/http"
import { Admission } from "../api/Admission.ts"
import { Api } from "../api/Api.ts"
import { Authorization, RequiredScope } from "../api/Authorization.ts"
import type { Scope } from "../domain/ApiKey.ts"
import { documentPaths } from "./docs/Documentation.ts"
import type { FastRoute } from "./fastPath/FastRoute.ts"
import { makeRouteTable, type Match } from "./RouteTable.ts"

/** How the router reads paths: nothing but what they say. */
export const routerConfig = {
  caseSensitive: true,
  ignoreTrailingSlash: false,
  ignoreDuplicateSlashes: false,
  // Longer than any request line that the listener takes, so that schemas are what refuses.
  maxParamLength: 65_536,
}

export interface Route {
  readonly method: string
  readonly path: string
  /** The path with `{id}` where it has a parameter, as logs, metrics and the OpenAPI document have it. */
  readonly template: string
  /** Whether its callers need a key. */
  readonly needsKey: boolean
  /** The scope that the key needs. */
  readonly scope: Option.Option<Scope>
  /** Whether it takes its turn when many requests are in flight. */
  readonly isAdmitted: boolean
  readonly takesBody: boolean
  /** What takes it on the fast path, if anything does. */
  readonly fast: FastRoute | undefined
}

/** What a request is for, and the parts of its target where they can be read in one way only. */
export type Found = Match<Route> | { readonly route: Route; readonly parameters: undefined }

export interface Routes {
  /** What a target is for that can be read in one way only. */
  readonly match: (method: string, target: string) => Match<Route> | undefined
  /** What a normalized target is for, as the router reads it. */
  readonly find: (method: string, target: string) => Found | undefined
  /** The methods that a normalized target has; none when nothing is there. */
  readonly methodsAt: (target: string) => ReadonlyArray<string>
}

const endpoints = Object.values(Api.groups).flatMap((group) => Object.values(group.endpoints))

const templateOf = (path: string) => path.replaceAll(/:(\w+)/g, "{$1}")

const describe = (fast: ReadonlyArray<FastRoute>): ReadonlyArray<Route> => [
  ...endpoints.map(({ method, path, middlewares, annotations, payload }): Route => ({
    method,
    path,
    template: templateOf(path),
    needsKey: middlewares.has(Authorization),
    scope: Context.getOption(annotations, RequiredScope),
    isAdmitted: middlewares.has(Admission),
    takesBody: payload.size > 0,
    fast: fast.find((route) => route.method === method && route.path === path),
  })),
  ...documentPaths.map((path): Route => ({
    method: "GET",
    path,
    template: path,
    needsKey: false,
    scope: Option.none(),
    isAdmitted: false,
    takesBody: false,
    fast: undefined,
  })),
]

/** The routes of the API and of the documents that describe it, of those paths that are to be served. */
export const makeRoutes = (
  fast: ReadonlyArray<FastRoute>,
  isServed: (path: string) => boolean,
): Routes => {
  const routes = describe(fast).filter(({ path }) => isServed(path))
  const router = FindMyWay.make<Route>(routerConfig)
  for (const route of routes) router.on(route.method, `/${route.path.slice(1)}`, route)
  const methods = [...new Set(routes.map(({ method }) => method))]
  // A path without parameters is only what it says: its other methods are not those of `/v1/users/:id`.
  const named = new Set(routes.map(({ path }) => path).filter((path) => !path.includes(":")))

  const findRoute = (method: string, target: string) => {
    const found = router.find(method, target)
    const [path = ""] = target.split("?")
    return found !== undefined && found.handler.path !== path && named.has(path) ? undefined : found
  }

  return {
    match: makeRouteTable(routes.map((route) => ({ ...route, route }))),
    find: (method, target) => {
      // HEAD goes wherever GET goes.
      const found = findRoute(method === "HEAD" ? "GET" : method, target)
      return found && { route: found.handler, parameters: undefined }
    },
    methodsAt: (target) => {
      const found = methods.filter((method) => findRoute(method, target) !== undefined)
      return (found.includes("GET") ? [...found, "HEAD"] : found).sort()
    },
  }
}
