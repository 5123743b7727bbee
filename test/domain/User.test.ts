import { assert, describe, it } from "@effect/vitest"
import { Exit, Redacted, Schema } from "effect"
import { inspect } from "node:util"
import { Email } from "../../src/domain/Email.ts"
import { User, UserId } from "../../src/domain/User.ts"

const body = { email: "ada@example.com", authProvider: "email", passwordHash: "secret-hash" }
const create = Schema.decodeUnknownExit(User.insert)
const change = Schema.decodeUnknownExit(User.update)
const isTaken = (extra: object) => Exit.isSuccess(create({ ...body, ...extra }))
const isChange = (changes: object) => Exit.isSuccess(change(changes))

const row = {
  id: "5f0c0f3e-8c1a-4f7e-9d57-0a4f5c2b6d10",
  email: "ada@example.com",
  fullName: null,
  passwordHash: "secret-hash",
  authProvider: "email",
  googleId: null,
  isActive: true,
  emailVerifiedAt: null,
  createdAt: new Date(0),
  updatedAt: new Date(0),
  version: "1",
} as const

describe("a new user", () => {
  it("has null for what is absent, and is active", () => {
    const decoded = create(body)
    assert.isTrue(Exit.isSuccess(decoded))
    assert.deepStrictEqual(
      decoded,
      create({
        ...body,
        fullName: null,
        googleId: null,
        isActive: true,
        emailVerifiedAt: null,
      }),
    )
  })

  it("has a name of 1 to 200 characters, counted by code point", () => {
    assert.isTrue(isTaken({ fullName: "😀".repeat(200) }))
    assert.isFalse(isTaken({ fullName: "x".repeat(201) }))
    assert.isFalse(isTaken({ fullName: "" }))
  })

  it("has a password hash of 1 to 1,024 characters", () => {
    assert.isTrue(isTaken({ passwordHash: "x".repeat(1_024) }))
    assert.isFalse(isTaken({ passwordHash: "x".repeat(1_025) }))
    assert.isFalse(isTaken({ passwordHash: "" }))
  })

  it("has a password hash that is held against the same rules when a program makes it", () => {
    const make = (passwordHash: Redacted.Redacted<string>) => () =>
      User.insert.make({
        email: Email.make("ada@example.com"),
        authProvider: "email",
        passwordHash,
      })
    assert.doesNotThrow(make(Redacted.make("x".repeat(1_024))))
    assert.throws(make(Redacted.make("secret".repeat(200))), /^(?!.*secret)/s)
    assert.throws(make(Redacted.make("")))
  })

  it("has a password hash that is held against the same rules on its way to the database", () => {
    const isSent = (passwordHash: Redacted.Redacted<string>) =>
      Exit.isSuccess(Schema.encodeUnknownExit(User.insert)({ ...user, passwordHash }))
    const user = User.insert.make({ email: Email.make("ada@example.com"), authProvider: "google" })
    assert.isTrue(isSent(Redacted.make("x".repeat(1_024))))
    assert.isTrue(isSent(Redacted.make("hash", { label: "a label of the caller's" })))
    assert.isFalse(isSent(Redacted.make("x".repeat(1_025))))
    assert.isFalse(isSent(Redacted.make("")))
    assert.isFalse(isSent(Redacted.make("a\0b")))
  })

  it("has a Google id of 1 to 255 characters", () => {
    assert.isTrue(isTaken({ googleId: "x".repeat(255) }))
    assert.isFalse(isTaken({ googleId: "x".repeat(256) }))
    assert.isFalse(isTaken({ googleId: "" }))
  })

  it("has no text that PostgreSQL cannot give back", () => {
    for (const text of ["a\0b", "a\ud800b", "\udc00"]) {
      assert.isFalse(isTaken({ fullName: text }))
      assert.isFalse(isTaken({ passwordHash: text }))
      assert.isFalse(isTaken({ googleId: text }))
    }
  })

  it("signs in with e-mail or Google, nothing else", () => {
    assert.isTrue(isTaken({ authProvider: "google" }))
    assert.isFalse(isTaken({ authProvider: "Google" }))
    assert.isFalse(isTaken({ authProvider: "github" }))
  })
})

describe("a change to a user", () => {
  it("tells absence from null", () => {
    assert.deepStrictEqual(change({}), Exit.succeed({}))
    assert.deepStrictEqual(change({ fullName: null }), Exit.succeed({ fullName: null }))
  })

  it("clears only what may be null", () => {
    assert.isTrue(
      isChange({ fullName: null, passwordHash: null, googleId: null, emailVerifiedAt: null }),
    )
    assert.isFalse(isChange({ email: null }))
    assert.isFalse(isChange({ authProvider: null }))
    assert.isFalse(isChange({ isActive: null }))
  })

  it("keeps the rules of a new user", () => {
    assert.isFalse(isChange({ fullName: "" }))
    assert.isFalse(isChange({ email: "nobody" }))
    assert.isFalse(isChange({ googleId: "x".repeat(256) }))
  })
})

describe("a user", () => {
  const user = Schema.decodeSync(User)(row)

  it("is shown to clients without password hash and version", () => {
    assert.hasAllKeys(Schema.encodeSync(User.json)(user), [
      "id",
      "email",
      "fullName",
      "authProvider",
      "googleId",
      "isActive",
      "emailVerifiedAt",
      "createdAt",
      "updatedAt",
    ])
  })

  it("hides its password hash from whoever prints it", () => {
    for (const text of [String(user), inspect(user, { depth: 9 }), JSON.stringify(user)]) {
      assert.notInclude(text, "secret-hash")
    }
    assert.strictEqual(user.passwordHash && Redacted.value(user.passwordHash), "secret-hash")
  })

  it("stays readable when something else stored more than input may have", () => {
    const stored = { ...row, fullName: "x".repeat(1_000), googleId: "", passwordHash: "" }
    assert.isTrue(Exit.isSuccess(Schema.decodeUnknownExit(User)(stored)))
  })
})

describe("a user's id", () => {
  const decode = Schema.decodeUnknownExit(UserId)

  it("is a UUID of any version, read in any case and kept in lower case", () => {
    for (
      const id of [
        "5F0C0F3E-8C1A-4F7E-9D57-0A4F5C2B6D10",
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
      ]
    ) {
      assert.deepStrictEqual(decode(id), Exit.succeed(UserId.make(id.toLowerCase())))
    }
  })

  it("has one form only", () => {
    for (
      const id of [
        "",
        "1",
        "5f0c0f3e8c1a4f7e9d570a4f5c2b6d10",
        "{5f0c0f3e-8c1a-4f7e-9d57-0a4f5c2b6d10}",
        "urn:uuid:5f0c0f3e-8c1a-4f7e-9d57-0a4f5c2b6d10",
        "5f0c0f3e-8c1a-4f7e-9d57-0a4f5c2b6d10\n",
        "5f0c0f3e-8c1a-4f7e-9d57-0a4f5c2b6d1g",
      ]
    ) {
      assert.isTrue(Exit.isFailure(decode(id)), id)
    }
  })
})
