import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Option, Redacted, Schema } from "effect"
import { OpenApi } from "effect/http-api"
import { inject } from "vitest"
import * as Latchkey from "../src/mod.ts"
import { makeDatabase } from "./support/TestDatabase.ts"

/** The URL of a migrated database of this test's own, as an operator would hand it over. */
const databaseUrl = Effect.map(makeDatabase(inject("template")), ({ database }) => {
  const url = new URL(inject("serverUrl"))
  url.pathname = `/${database}`
  return Redacted.make(url.href)
})

/** What another program writes to use the store. */
const Store = Layer.mergeAll(
  Latchkey.UserRepository.layer,
  Latchkey.RefreshTokenRepository.layer,
  Latchkey.LoginAttemptRepository.layer,
).pipe(
  Layer.provide(
    Layer.unwrap(Effect.gen(function* () {
      const { parameters } = yield* Latchkey.DatabaseUrl.parse(yield* databaseUrl)
      return Latchkey.Database.layer({ connection: parameters, maxConnections: 2 })
    })),
  ),
  Layer.provide(NodeServices.layer),
)

describe("another program", () => {
  it.effect("signs a user up, in, on and out with the store in its own process", () =>
    Effect.gen(function* () {
      const users = yield* Latchkey.UserRepository
      const tokens = yield* Latchkey.RefreshTokenRepository
      const attempts = yield* Latchkey.LoginAttemptRepository
      const email = Latchkey.Email.make("Ada@example.com")
      const ipAddress = yield* Schema.decodeEffect(Latchkey.IpAddress)("::ffff:192.0.2.1")
      const expiresAt = yield* Schema.decodeEffect(Latchkey.Timestamp)("2099-01-01T00:00:00Z")

      const user = yield* users.create(Latchkey.User.insert.make({
        email,
        authProvider: "email",
        passwordHash: Redacted.make("hash"),
      }))
      yield* attempts.create(
        Latchkey.LoginAttempt.insert.make({ userId: user.id, email, ipAddress, success: false }),
      )
      assert.strictEqual(yield* attempts.countRecentFailures(user.id), 1)

      const first = Latchkey.TokenHash.make("first")
      const second = Latchkey.TokenHash.make("second")
      yield* tokens.create(
        Latchkey.NewRefreshToken.make({ userId: user.id, tokenHash: first, expiresAt }),
      )
      yield* tokens.rotate(first, Latchkey.Successor.make({ tokenHash: second, expiresAt }))
      const theft = yield* tokens.rotate(
        first,
        Latchkey.Successor.make({ tokenHash: Latchkey.TokenHash.make("third"), expiresAt }),
      ).pipe(Effect.flip)
      assert.instanceOf(theft, Latchkey.RefreshTokenReused)

      assert.strictEqual(yield* tokens.revokeAllForUser(user.id), 1)
      assert.deepStrictEqual(
        yield* users.getByEmail(Latchkey.Email.make("ada@EXAMPLE.com")),
        Option.some(user),
      )
    }).pipe(Effect.provide(Store)))

  it.effect("tells errors apart by class and by tag", () =>
    Effect.gen(function* () {
      const users = yield* Latchkey.UserRepository
      const grace = Latchkey.User.insert.make({
        email: Latchkey.Email.make("grace@example.com"),
        authProvider: "google",
        googleId: Latchkey.GoogleId.make("grace"),
      })
      yield* users.create(grace)

      const another = { ...grace, googleId: Latchkey.GoogleId.make("another") }
      const taken = yield* users.create(another).pipe(
        Effect.as("created"),
        Effect.catchTag("EmailTaken", (error) => Effect.succeed(error)),
      )
      assert.instanceOf(taken, Latchkey.EmailTaken)
    }).pipe(Effect.provide(Store)))

  it("reads the HTTP API as a value", () => {
    const { paths } = OpenApi.fromApi(Latchkey.Api)
    assert.containsAllKeys(paths, ["/v1/users", "/v1/refresh-tokens", "/v1/login-attempts"])
  })
})

it.effect("the program in the README compiles", () =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const root = new URL("..", import.meta.url).pathname
    const [, program = ""] = (yield* fs.readFileString(`${root}/README.md`)).split("```ts\n")
    const file = yield* fs.makeTempFileScoped({
      directory: root,
      prefix: ".readme-",
      suffix: ".ts",
    })
    yield* fs.writeFileString(
      file,
      `${program.split("```")[0]?.replace("./src/", "../src/")}export default program\n`,
    )
    const { success, stderr } = yield* Effect.promise(() =>
      new Deno.Command(Deno.execPath(), { args: ["check", file], cwd: root }).output()
    )
    assert.isTrue(success, new TextDecoder().decode(stderr))
  }).pipe(Effect.provide(NodeServices.layer)))
