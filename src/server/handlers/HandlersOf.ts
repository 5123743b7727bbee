import type { HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

/** The handlers that the endpoints of a group need, by the names of the endpoints. */
export type HandlersOf<Group extends HttpApiGroup.Constraint> = {
  readonly [
    Endpoint in HttpApiGroup.Endpoints<Group> as HttpApiEndpoint.Identifier<Endpoint>
  ]: HttpApiEndpoint.Handler<Endpoint, HttpApiEndpoint.MiddlewareError<Endpoint>, never>
}
