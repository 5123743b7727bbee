import { SchemaIssue } from "effect"
import { type InputError, InvalidRequest } from "../../api/problems.ts"

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** More are of no help to a caller, and a hostile one could ask for thousands. */
const maximumErrors = 20

// A property that is not known is named by the client, and might be a secret in the wrong place.
const nameOf = (segment: PropertyKey) =>
  /^[\w-]{1,32}$/.test(String(segment)) ? String(segment) : "?"

const toInputErrors = (issue: SchemaIssue.Issue, part: string): ReadonlyArray<InputError> =>
  format(issue).issues.slice(0, maximumErrors).map(({ path = [], message }) => ({
    path: path.length === 0
      ? part
      : path.map((segment) => nameOf(typeof segment === "object" ? segment.key : segment)).join(
        ".",
      ),
    message,
  }))

/**
 * Names each place of a part of a request that its endpoint's schemas refuse; values are never
 * repeated.
 */
export const invalidRequest = (part: string, issue: SchemaIssue.Issue): InvalidRequest =>
  new InvalidRequest({ errors: toInputErrors(issue, part) })

/** Refuses properties that are not known, in the words of schemas. */
export const excessProperties = (names: ReadonlyArray<string>): InvalidRequest =>
  new InvalidRequest({
    errors: names.slice(0, maximumErrors).map((name) => ({
      path: nameOf(name),
      message: "Expected no excess property",
    })),
  })
