/**
 * The API described: as an OpenAPI document, and as a page for people.
 */
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApiScalar, OpenApi } from "effect/http-api"
import { Api } from "../../api/Api.ts"
import { staticDocuments } from "./staticDocuments.ts"

const OpenApiDocument = HttpRouter.use(Effect.fnUntraced(function* (router) {
  const document = yield* Effect.cached(
    Effect.sync(() => HttpServerResponse.jsonUnsafe(OpenApi.fromApi(Api))),
  )
  yield* router.add("GET", "/openapi.json", document)
}))

const ReferencePage = HttpApiScalar.layer(Api, {
  path: "/docs",
  scalar: { withDefaultFonts: false },
})

/** Where they are. */
export const documentPaths = ["/openapi.json", "/docs"] as const

export const Documentation = Layer.merge(OpenApiDocument, ReferencePage).pipe(
  Layer.provide(staticDocuments.layer),
)
