/**
 * Which methods a path has, to tell a wrong method from a wrong path.
 */
import { Api } from "../api/Api.ts"

const escaped = (segment: string) => segment.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")

const toPattern = (path: string) =>
  new RegExp(
    `^${
      path.split("/").map((segment) => segment.startsWith(":") ? "[^/]+" : escaped(segment)).join(
        "/",
      )
    }$`,
  )

const routes = [
  ...Object.values(Api.groups).flatMap((group) =>
    Object.values(group.endpoints).map(({ method, path }) => ({ method, path }))
  ),
  { method: "GET", path: "/openapi.json" },
  { method: "GET", path: "/docs" },
].map(({ method, path }) => ({ method, pattern: toPattern(path) }))

/** The methods of a request target's path; empty when there is no such path. */
export const allowedMethods = (target: string): ReadonlyArray<string> => {
  const [path = ""] = target.split("?", 1)
  const methods = new Set(
    routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => String(method)),
  )
  if (methods.has("GET")) methods.add("HEAD")
  return [...methods].sort()
}
