# The service on an external database, as a plain user. In the image is what serve, migrate and doctor
# import, and nothing else: no embedded PostgreSQL, no tools for tests. It runs with a read-only root.
#
#   docker build --build-arg COMMIT="$(git rev-parse HEAD)" --tag latchkey .
FROM denoland/deno:bin-2.9.6 AS deno

FROM debian:bookworm-slim AS build
COPY --from=deno /deno /usr/local/bin/deno
WORKDIR /app
COPY deno.json deno.lock ./
COPY migrations ./migrations
COPY src ./src
# Only what these import is fetched, each package as deno.lock has it.
RUN DENO_DIR=/app/.deno deno cache --frozen --unstable-npm-lazy-caching \
  src/bin/serve.ts src/bin/thread.ts src/bin/sandbox.ts src/bin/migrate.ts src/bin/doctor.ts
# From here on nothing is fetched, and packages are taken as they are there.
RUN sed -i 's/"nodeModulesDir": "auto"/"nodeModulesDir": "manual"/' deno.json
RUN rm -r .deno/npm \
  && find node_modules -type f \( -name '*.ts' -o -name '*.map' -o -name '*.md' \) -delete
ARG COMMIT=unknown
RUN printf '%s\n' "$COMMIT" > src/COMMIT

FROM debian:bookworm-slim
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="latchkey" \
  org.opencontainers.image.description="The database layer of authentication as a service" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="0.1.0" \
  org.opencontainers.image.revision="$COMMIT"
COPY --from=deno /deno /usr/local/bin/deno
COPY --from=build /app /app
WORKDIR /app
ENV DENO_DIR=/app/.deno DENO_NO_UPDATE_CHECK=1 HOST=0.0.0.0
# Of nobody, so that it can read what is in the image and write nothing.
USER 10001:10001
EXPOSE 8080
# Whether the process responds: a container is not to be restarted because the database is away.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["deno", "eval", "const port = Deno.env.get('ADMIN_PORT') ?? Deno.env.get('PORT') ?? 8080; (await fetch(`http://127.0.0.1:${port}/livez`)).ok || Deno.exit(1)"]
STOPSIGNAL SIGTERM
CMD ["deno", "task", "serve"]
