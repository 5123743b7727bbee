/**
 * The socket below one connection of the driver, which tells when the connection is of no more use.
 *
 * The driver opens the socket by a factory, and a second one by the same factory when it asks the server
 * to cancel a statement of the connection. Such a request may arrive late, and end whatever statement
 * runs there by then: https://www.postgresql.org/docs/current/libpq-cancel.html. So a connection whose
 * statement was to be cancelled is not used again.
 */
import type { Duplex } from "node:stream"

export class Link {
  /** That of the connection. No statement may be sent once it is closed. */
  socket: Duplex | undefined
  /** Whether a statement was to be cancelled: none may be sent any more. */
  isCancelled = false

  constructor(private readonly connect: () => Duplex) {}

  /** The factory. */
  readonly open = (): Duplex => {
    const opened = this.connect()
    if (this.socket === undefined) this.socket = opened
    else this.isCancelled = true
    return opened
  }

  /** Calls back when the socket is closed, by whomever; gives what takes that back. */
  onClose(callback: () => void) {
    this.socket?.once("close", callback)
    return () => void this.socket?.off("close", callback)
  }
}
