/**
 * Routes for orchestrators and monitoring, without a key.
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AnyRequestProblems, NotReady } from "./problems.ts"

const Health = Schema.Struct({ status: Schema.Literal("ok") })
  .annotate({ identifier: "Health", description: "The check passed" })

export class HealthApi extends HttpApiGroup.make("health")
  .add(
    HttpApiEndpoint.get("live", "/livez", { success: Health, error: AnyRequestProblems })
      .annotate(OpenApi.Summary, "Check that the process responds")
      .annotate(
        OpenApi.Description,
        "For liveness probes. It does not look at the database: a restart does not mend one.",
      ),
    HttpApiEndpoint.get("ready", "/readyz", {
      success: Health,
      error: [NotReady, ...AnyRequestProblems],
    })
      .annotate(OpenApi.Summary, "Check that requests can be served now")
      .annotate(
        OpenApi.Description,
        "For readiness probes and load balancers: 503 while the database cannot be used, is not " +
          "at the version of this service, or while the service is shutting down; `detail` is the " +
          "name of the reason, such as `database-read-only`.",
      ),
    HttpApiEndpoint.get("metrics", "/metrics", {
      success: Schema.String.pipe(
        HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" }),
      ).annotate({ description: "Metrics, one per line" }),
      error: AnyRequestProblems,
    })
      .annotate(OpenApi.Summary, "Get metrics in Prometheus' text format")
      .annotate(
        OpenApi.Description,
        "Counters, gauges and histograms of the requests and of the database, of all threads " +
          "together.",
      ),
  )
  .annotateMerge(
    OpenApi.annotations({ title: "Health", description: "Probes and metrics, without a key" }),
  ) {}
