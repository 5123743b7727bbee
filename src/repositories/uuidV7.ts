/**
 * An id for a new row, a UUID of version 7 (RFC 9562, 5.7): the time in milliseconds, then random bits.
 *
 * What is made one after the other then lies side by side in the index of ids, so that a write has one
 * page less to change, and PostgreSQL's log one less to keep. An id tells when it was made; users, whose
 * ids an auth service may show to anybody, get random ones.
 */
export const uuidV7 = (): string => {
  const time = Date.now().toString(16).padStart(12, "0")
  // Variant and random bits are where version 4 has them.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}`
}
