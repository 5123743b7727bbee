import { Predicate, Schema } from "effect"
import type { HttpServerError } from "effect/http"

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program has the port. Stop it, or set PORT to another one",
  EACCES: "this user may not listen on the port. Set PORT to 1024 or higher",
  EADDRNOTAVAIL: "this machine has no such address. Set HOST to one of its own, or to 0.0.0.0",
  ENOTFOUND: "nobody knows the name. Set HOST to a name or address of this machine",
}

/** The service cannot listen where it is told to. */
export class ListenFailed extends Schema.TaggedError<ListenFailed>()("ListenFailed", {
  host: Schema.String,
  port: Schema.Number,
  /** The system's name for the reason, such as EADDRINUSE. */
  code: Schema.String,
}) {
  override get message() {
    const reason = reasons[this.code]
    const sentence = reason === undefined
      ? `${this.code}. Set HOST and PORT to an address of this machine and a free port`
      : `${reason} (${this.code})`
    return `Cannot listen on ${this.host}, port ${this.port}: ${sentence}.`
  }
}

export const listenFailed =
  ({ host, port }: { readonly host: string; readonly port: number }) =>
  ({ cause }: HttpServerError.ServeError): ListenFailed =>
    new ListenFailed({
      host,
      port,
      code: Predicate.hasProperty(cause, "code") ? String(cause.code) : String(cause),
    })
