/**
 * Versions of users as entity tags (RFC 9110, 8.8.3), and the precondition that names them.
 */
import { Effect } from "effect"
import { InvalidRequest } from "../../api/problems.ts"
import { Version } from "../../domain/User.ts"
import type { Precondition } from "../../repositories/users/UserRepository.ts"
import { entityTagsIn } from "../entityTagList.ts"

export const toEntityTag = (version: Version): string => `"${version}"`

/**
 * What `If-Match` asks for. Any version will do for `*`; weak tags never match, since the comparison
 * is strong (13.1.1). Whether there is a user at all is found out by the change itself.
 */
export const toPrecondition = Effect.fnUntraced(function* (header: string | undefined) {
  if (header === undefined || header.trim() === "*") return {} satisfies Precondition
  const tags = entityTagsIn(header)
  if (tags === undefined) {
    return yield* new InvalidRequest({
      errors: [{ path: "if-match", message: "Expected * or a list of entity tags" }],
    })
  }
  const strong = tags.filter(({ isWeak }) => !isWeak)
  return { ifVersion: strong.map(({ tag }) => Version.make(tag)) } satisfies Precondition
})
