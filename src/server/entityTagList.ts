/**
 * Lists of entity tags, as `If-Match` and `If-None-Match` have them (RFC 9110, 8.8.3 and 13.1).
 */

// One element of the list and what separates it from the next; empty elements are allowed. Blanks that
// nothing follows are in one place only: in two, each way to divide them would be tried.
const element = /[ \t]*(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*)?(?:,|$)/y

/** The entity tags of a list; none where it is no such list, or has no element. */
export const entityTagsIn = (
  header: string,
): ReadonlyArray<{ readonly tag: string; readonly isWeak: boolean }> | undefined => {
  const tags: Array<{ readonly tag: string; readonly isWeak: boolean }> = []
  element.lastIndex = 0
  while (element.lastIndex < header.length) {
    const match = element.exec(header)
    if (match === null) return undefined
    const [, weak, tag] = match
    if (tag !== undefined) tags.push({ tag, isWeak: weak !== undefined })
  }
  return tags.length === 0 ? undefined : tags
}
