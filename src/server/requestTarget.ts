/**
 * Request targets as RFC 3986 reads them, for a router that reads them otherwise.
 */
import { Option, Result } from "effect"

const isWellFormed = (part: string) =>
  !part.includes("%") || Result.isSuccess(Result.try(() => decodeURIComponent(part)))

/** A target in absolute form in origin form, as the platform makes it; others as they are. */
export const toOriginForm = (target: string): string => {
  if (!/^https?:\/\//i.test(target)) return target
  const url = URL.parse(target)
  return url === null ? target : url.pathname + url.search
}

/**
 * The router ends a path at `;` or `#` and takes `+` in a query for a blank, as in a form. Here these
 * characters stand for themselves, so they are percent-encoded before the router sees them. None when
 * a percent-encoding is malformed or no UTF-8.
 */
export const normalizeTarget = (target: string): Option.Option<string> => {
  const queryStart = target.indexOf("?")
  const path = queryStart === -1 ? target : target.slice(0, queryStart)
  const query = queryStart === -1 ? "" : target.slice(queryStart)
  if (!isWellFormed(path) || !query.split(/[&=]/).every(isWellFormed)) return Option.none()
  return Option.some(
    path.replaceAll(";", "%3B").replaceAll("#", "%23") +
      query.replaceAll("+", "%2B").replaceAll("#", "%23"),
  )
}
