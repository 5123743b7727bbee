/**
 * Versions of users as entity tags (RFC 9110, 8.8.3), and the precondition that names them.
 */
import { Effect } from "effect"
import { InvalidRequest } from "../../api/problems.ts"
import { Version } from "../../domain/User.ts"
import type { Precondition } from "../../repositories/users/UserRepository.ts"

export const toEntityTag = (version: Version): string => `"${version}"`

// One element of the list and what separates it from the next; empty elements are allowed. Blanks that
// nothing follows are in one place only: in two, each way to divide them would be tried.
const element = /[ \t]*(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*)?(?:,|$)/y

/**
 * What `If-Match` asks for. Any version will do for `*`; weak tags never match, since the comparison
 * is strong (13.1.1). Whether there is a user at all is found out by the change itself.
 */
export const toPrecondition = Effect.fnUntraced(function* (header: string | undefined) {
  if (header === undefined || header.trim() === "*") return {} satisfies Precondition
  const versions: Array<Version> = []
  let elements = 0
  element.lastIndex = 0
  while (element.lastIndex < header.length) {
    const match = element.exec(header)
    if (match === null) {
      elements = 0
      break
    }
    const [, weak, tag] = match
    if (tag === undefined) continue
    elements++
    if (weak === undefined) versions.push(Version.make(tag))
  }
  if (elements === 0) {
    return yield* new InvalidRequest({
      errors: [{ path: "if-match", message: "Expected * or a list of entity tags" }],
    })
  }
  return { ifVersion: versions } satisfies Precondition
})
