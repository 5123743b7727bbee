# The service on an external database, as a plain user. The embedded PostgreSQL stays out of the image.
FROM denoland/deno:bin-2.9.6 AS deno

FROM debian:bookworm-slim
COPY --from=deno /deno /usr/local/bin/deno
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --system --create-home --home-dir /app latchkey
WORKDIR /app
ENV DENO_DIR=/app/.deno HOST=0.0.0.0

COPY --chown=latchkey deno.json deno.lock ./
USER latchkey
RUN deno install --frozen
COPY --chown=latchkey migrations ./migrations
COPY --chown=latchkey src ./src
RUN deno cache --frozen src/bin/serve.ts src/bin/migrate.ts src/bin/sandbox.ts

EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["deno", "eval", "(await fetch(`http://127.0.0.1:${Deno.env.get('PORT') ?? 8080}/readyz`)).ok || Deno.exit(1)"]
STOPSIGNAL SIGTERM
CMD ["deno", "task", "serve"]
