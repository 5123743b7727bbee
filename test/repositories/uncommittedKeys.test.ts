/**
 * Somebody has added a key and not committed it: PostgreSQL cannot leave such a row out, and lets wait
 * whoever adds the same key. Nothing here measures time: what others do has to be done while the key
 * is still uncommitted.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { SqlClient, SqlError } from "effect/sql"
import type { Email } from "../../src/domain/Email.ts"
import type { GoogleId } from "../../src/domain/User.ts"
import { atOnce, outcomes, tagsOf, whileHeld } from "../support/atOnce.ts"
import { blockedSession, type Service, serviceWith, untilBlocked } from "../support/elsewhere.ts"
import {
  aGoogleId,
  aGoogleUser,
  anEmail,
  aSuccessor,
  aToken,
  aTokenHash,
  aTokenId,
  aUser,
  aUserId,
} from "../support/factories.ts"
import { aSavedToken, aSavedUser } from "../support/saved.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

type Call = Effect.Effect<unknown, { readonly _tag: string }>

const twenty = Array.from({ length: 20 })

/**
 * Makes calls of which one meets the uncommitted key in a group with the others, and does the same
 * again with others. Gives what became of all others, and the calls that wait.
 */
const beside = Effect.fnUntraced(function* (
  uncommitted: Effect.Effect<unknown, SqlError.SqlError>,
  { wait, pass }: { readonly wait: Call; readonly pass: () => Call },
) {
  return yield* whileHeld(
    uncommitted,
    Effect.gen(function* () {
      const begin = (call: Call) =>
        Effect.forkChild(Effect.result(call), { startImmediately: true })
      // The first goes alone, and all that come meanwhile in groups.
      const first = yield* begin(pass())
      const waiting = [yield* begin(wait)]
      const passing = yield* Effect.forEach(twenty, () => begin(pass()))
      waiting.push(...yield* Effect.forEach(twenty, () => begin(wait)))
      yield* untilBlocked(1)
      const passed = [
        ...yield* Fiber.joinAll([first, ...passing]),
        ...yield* atOnce(twenty.map(() => Effect.result(pass()))),
      ]
      for (const fiber of waiting) assert.isUndefined(fiber.pollUnsafe(), "a caller did not wait")
      for (const result of passed) assert.strictEqual(result._tag, "Success")
      return waiting
    }),
  ).pipe(Effect.flatMap((waiting) => Fiber.joinAll(waiting)))
})

const tagsOfResults = (
  results: ReadonlyArray<
    | { readonly _tag: "Success" }
    | { readonly _tag: "Failure"; readonly failure: { readonly _tag: string } }
  >,
) => [...new Set(results.map((result) => result._tag === "Success" ? "done" : result.failure._tag))]

layer(TestDatabase.layerRepositories, { excludeTestServices: true })("a key uncommitted", (it) => {
  const withService = <A, E, R>(test: (service: Service) => Effect.Effect<A, E, R>) =>
    Effect.scoped(Effect.flatMap(serviceWith(3), test))

  it.effect("as an address holds up no other creation of a group", () =>
    withService(({ users }) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const email = anEmail()
        const results = yield* beside(
          sql`
            INSERT INTO users (email, auth_provider, google_id)
            VALUES (${email.toUpperCase()}, 'google', ${aGoogleId()})`,
          {
            wait: Effect.suspend(() => users.create(aUser({ email }))),
            pass: () => users.create(aUser()),
          },
        )
        assert.deepStrictEqual(tagsOfResults(results), ["EmailTaken"])
      })
    ))

  it.effect("as a Google id holds up no other creation of a group", () =>
    withService(({ users }) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const googleId = aGoogleId()
        const results = yield* beside(
          sql`
            INSERT INTO users (email, auth_provider, google_id)
            VALUES (${anEmail()}, 'google', ${googleId})`,
          {
            wait: Effect.suspend(() => users.create(aGoogleUser({ googleId }))),
            pass: () => users.create(aGoogleUser()),
          },
        )
        assert.deepStrictEqual(tagsOfResults(results), ["GoogleIdTaken"])
      })
    ))

  it.effect.each(["address", "Google id"] as const)(
    "as the %s of a sign-in with Google holds up no other sign-in",
    (kind) =>
      withService(({ users }) =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const email = anEmail()
          const googleId = aGoogleId()
          const signIn = (own: { readonly googleId?: GoogleId; readonly email?: Email }) =>
            users.getOrCreateByGoogleId(own.googleId ?? aGoogleId(), {
              email: own.email ?? anEmail(),
              emailVerified: true,
              fullName: null,
              onEmailTaken: "refuse",
            })
          const results = yield* beside(
            sql`
              INSERT INTO users (email, auth_provider, google_id)
              VALUES (${email.toUpperCase()}, 'google', ${googleId})`,
            {
              wait: Effect.suspend(() => signIn(kind === "address" ? { email } : { googleId })),
              pass: () => signIn({}),
            },
          )
          assert.deepStrictEqual(
            tagsOfResults(results),
            [kind === "address" ? "EmailTaken" : "done"],
          )
        })
      ),
  )

  it.effect("as a token's hash holds up no other creation of a group", () =>
    withService(({ tokens }) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { id } = yield* aSavedUser()
        const other = yield* aSavedUser()
        const tokenHash = aTokenHash()
        const results = yield* beside(
          sql`
            INSERT INTO refresh_tokens (user_id, token_hash, expires_at)
            VALUES (${other.id}, ${tokenHash}, now() + interval '1 day')`,
          {
            wait: Effect.suspend(() => tokens.create(aToken(id, { tokenHash }))),
            pass: () => tokens.create(aToken(other.id)),
          },
        )
        assert.deepStrictEqual(tagsOfResults(results), ["TokenHashTaken"])
      })
    ))

  it.effect("as a successor's hash holds up no other rotation of a group", () =>
    withService(({ tokens }) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const old = yield* aSavedToken()
        const olds = yield* Effect.forEach(Array.from({ length: 41 }), () => aSavedToken())
        const tokenHash = aTokenHash()
        const results = yield* beside(
          sql`
            INSERT INTO refresh_tokens (user_id, token_hash, expires_at)
            VALUES (${old.userId}, ${tokenHash}, now() + interval '1 day')`,
          {
            wait: Effect.suspend(() => tokens.rotate(old.tokenHash, aSuccessor({ tokenHash }))),
            pass: () => tokens.rotate(olds.pop()?.tokenHash ?? aTokenHash(), aSuccessor()),
          },
        )
        assert.deepStrictEqual(tagsOfResults(results), ["TokenHashTaken"])
      })
    ))

  it.effect("as an idempotency key holds up no other creation", () =>
    withService(({ users, tokens }) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const idempotencyKey = aUserId()
        const user = aUser()
        const other = yield* aSavedUser()
        const [created] = yield* beside(
          sql`
            INSERT INTO users (id, email, auth_provider, google_id)
            VALUES (${idempotencyKey}, ${anEmail()}, 'google', ${aGoogleId()})`,
          {
            wait: Effect.suspend(() => users.create(user, { idempotencyKey })),
            pass: () => users.create(aUser(), { idempotencyKey: aUserId() }),
          },
        )
        assert.strictEqual(created?._tag, "Failure")
        const found = yield* outcomes([
          tokens.create(aToken(other.id), { idempotencyKey: aTokenId() }),
        ])
        assert.deepStrictEqual(tagsOf(found), ["done"])
      })
    ))

  it.effect("that is rolled back is free for the one who waited for it", () =>
    withService(({ users }) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const email = anEmail()
        const create = Effect.forkDetach(Effect.result(users.create(aUser({ email }))))
        const waiting: Array<Effect.Success<typeof create>> = []
        const rolledBack = yield* Effect.gen(function* () {
          yield* sql`
            INSERT INTO users (email, auth_provider, google_id)
            VALUES (${email}, 'google', ${aGoogleId()})`
          for (const _ of twenty) waiting.push(yield* create)
          yield* blockedSession
          return yield* Effect.fail("rolled back")
        }).pipe(sql.withTransaction, Effect.flip)
        assert.strictEqual(rolledBack, "rolled back")
        const results = yield* Fiber.joinAll(waiting)
        assert.lengthOf(results.filter(({ _tag }) => _tag === "Success"), 1)
        assert.deepStrictEqual(tagsOfResults(results).sort(), ["EmailTaken", "done"])
      })
    ))
})
