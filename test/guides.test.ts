import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Schema } from "effect"
import { address } from "./support/calls.ts"
import { keyWith, TestService } from "./support/TestService.ts"

const root = new URL("..", import.meta.url).pathname

const parse = Schema.decodeSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

/** Runs the shell blocks of a guide as they stand, and gives the answers that they print. */
const answersOf = Effect.fnUntraced(function* (guide: string) {
  const { host, port } = yield* address
  const fs = yield* FileSystem.FileSystem
  const text = yield* fs.readFileString(`${root}/docs/guides/${guide}`)
  const blocks = [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, block = ""]) => block)
  assert.isAbove(blocks.length, 1)
  const script = ["set -eu", ...blocks].join("\n")
    .replace("http://127.0.0.1:8080", `http://${host}:${port}`)
    .replace("KEY=$(cat .data/development-key)", `export KEY='${keyWith("*")}'`)
    // There need not be a curl where tests run.
    .replace(
      /^api\(\).*$/m,
      `api() { "${Deno.execPath()}" run --no-config -A test/support/api.ts "$@"; }`,
    )
  const { stdout, stderr } = yield* Effect.promise(() =>
    new Deno.Command("bash", { args: ["-c", script], cwd: root }).output()
  )
  const lines = new TextDecoder().decode(stdout).trim().split("\n")
  return { answers: lines.map((line) => parse(line)), stderr: new TextDecoder().decode(stderr) }
}, Effect.provide(NodeServices.layer))

layer(TestService)("the guides", (it) => {
  it.effect("of sessions does what it says", () =>
    Effect.gen(function* () {
      const { answers, stderr } = yield* answersOf("sessions.md")
      assert.lengthOf(answers, 13, stderr)
      const [login, refreshed, again, valid, sessions, loggedOut, ended, everywhere, ...rest] =
        answers
      const [changed, late, disabled, inactive, google] = rest
      assert.deepInclude(login, { isValid: true, expiresAt: "2098-01-01T00:00:00.000Z" })
      assert.deepInclude(refreshed, { sessionId: login?.["id"], userAgent: "Firefox" })
      assert.deepStrictEqual(again, refreshed)
      assert.deepStrictEqual(valid, refreshed)
      assert.lengthOf(Array.isArray(sessions?.["items"]) ? sessions["items"] : [], 1)
      assert.deepInclude(loggedOut, { isValid: false, revokedReason: "logout" })
      assert.deepStrictEqual([ended, everywhere], [{ revoked: 0 }, { revoked: 0 }])
      assert.strictEqual(changed?.["email"], "grace@example.com")
      assert.match(String(late?.["type"]), /precondition-failed$/)
      assert.strictEqual(disabled?.["isActive"], false)
      assert.match(String(inactive?.["type"]), /user-inactive$/)
      assert.strictEqual(google?.["authProvider"], "google")
    }), 240_000)

  it.effect("of sign-in does what it says", () =>
    Effect.gen(function* () {
      const { answers, stderr } = yield* answersOf("sign-in.md")
      assert.lengthOf(answers, 6, stderr)
      const [begun, completed, again, forgiven, ofUser, ofHost] = answers
      assert.deepInclude(begun, { knownSource: false })
      assert.deepInclude(begun?.["user"], { email: "alan@example.com" })
      assert.deepInclude(completed?.["attempt"], { success: true, pending: false })
      assert.deepInclude(completed?.["refreshToken"], { isValid: true })
      assert.deepInclude(again, { knownSource: true })
      assert.isString(forgiven?.["forgivenAt"])
      const itemsOf = (page: typeof ofUser) => Array.isArray(page?.["items"]) ? page["items"] : []
      assert.lengthOf(itemsOf(ofUser), 2)
      assert.lengthOf(itemsOf(ofHost), 1)
    }), 240_000)
})
