import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Schema } from "effect"
import { address } from "./support/calls.ts"
import { keyWith, TestService } from "./support/TestService.ts"

const root = new URL("..", import.meta.url).pathname

const parse = Schema.decodeSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

layer(TestService)("the README's first session", (it) => {
  it.effect("does what its comments say", () =>
    Effect.gen(function* () {
      const { host, port } = yield* address
      const fs = yield* FileSystem.FileSystem
      const readme = yield* fs.readFileString(`${root}/README.md`)
      const [, session = ""] = readme.split("BASE=http://127.0.0.1:8080/v1\n")
      const script = [
        "set -eu",
        `api() { "${Deno.execPath()}" run --no-config -A test/support/api.ts "$@"; }`,
        `BASE=http://${host}:${port}/v1`,
        session.split("```")[0],
      ].join("\n")
      const { stdout, stderr } = yield* Effect.promise(() =>
        new Deno.Command("bash", {
          args: ["-c", script],
          cwd: root,
          env: { KEY: keyWith("*") },
        }).output()
      )
      const lines = new TextDecoder().decode(stdout).trim().split("\n")
      assert.lengthOf(lines, 10, new TextDecoder().decode(stderr))
      const [created, found, credentials, token, ...others] = lines.map((line) => parse(line))
      const [rotated, reused, revoked, everywhere, attempt, failures] = others
      assert.strictEqual(created?.["email"], "Ada@example.com")
      assert.deepStrictEqual(found, created)
      assert.match(String(credentials?.["passwordHash"]), /^\$argon2id\$/)
      assert.deepInclude(token, { userId: created?.["id"], tokenHash: "first", isValid: true })
      assert.deepInclude(rotated, { tokenHash: "second", isValid: true })
      assert.match(String(reused?.["type"]), /refresh-token-reused$/)
      assert.deepInclude(revoked, { tokenHash: "second", isValid: false })
      assert.deepStrictEqual(everywhere, { revoked: 0 })
      assert.deepInclude(attempt, { success: false, failureReason: "wrong password" })
      assert.deepStrictEqual(failures, { count: 1 })
    }).pipe(Effect.provide(NodeServices.layer)), 240_000)
})
