/**
 * What orchestrators and monitoring ask; no key needed.
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { NotReady } from "./problems.ts"

const Health = Schema.Struct({ status: Schema.Literal("ok") })

export class HealthApi extends HttpApiGroup.make("health")
  .add(
    HttpApiEndpoint.get("live", "/livez", { success: Health })
      .annotate(OpenApi.Summary, "Whether the process answers"),
    HttpApiEndpoint.get("ready", "/readyz", { success: Health, error: NotReady })
      .annotate(OpenApi.Summary, "Whether requests can be served now"),
    HttpApiEndpoint.get("metrics", "/metrics", {
      success: Schema.String.pipe(
        HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" }),
      ),
    }).annotate(OpenApi.Summary, "Metrics in Prometheus' text format"),
  )
  .annotateMerge(OpenApi.annotations({ title: "Health", description: "Health and metrics" })) {}
