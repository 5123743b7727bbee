/**
 * Somebody holds rows and does not let go. Nothing here measures time: what others do has to be done
 * while the rows are still held.
 */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { DatabaseUnavailable } from "../../src/domain/DatabaseUnavailable.ts"
import type { Email } from "../../src/domain/Email.ts"
import type { RefreshToken } from "../../src/domain/RefreshToken.ts"
import { GoogleId, type User } from "../../src/domain/User.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import type { GoogleAccount } from "../../src/repositories/users/getOrCreateByGoogleId.ts"
import { atOnce, outcomes, whileHeld } from "../support/atOnce.ts"
import { type Service, serviceWith, untilBlocked } from "../support/elsewhere.ts"
import {
  aGoogleId,
  aGoogleUser,
  anAttempt,
  anAttemptId,
  anAttemptToBegin,
  anEmail,
  anIpAddress,
  aSuccessor,
  aToken,
  aTokenId,
  aUser,
  aUserId,
} from "../support/factories.ts"
import { aSavedToken, aSavedUser } from "../support/saved.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const sixty = Array.from({ length: 60 })

const byEmail = { by: "email", failures: 10_000, minutes: 1 } as const

const succeeded = ({ id }: User) => ({
  success: true,
  failureReason: null,
  refreshToken: aToken(id),
})

/** A user, with a token and an attempt for each caller. */
const aVictim = Effect.gen(function* () {
  const user = yield* aSavedUser()
  const tokens = yield* Effect.forEach(sixty, () => aSavedToken({ userId: user.id }))
  const attempts = yield* LoginAttemptRepository
  const begun = yield* Effect.forEach(sixty, () => attempts.begin(anAttemptToBegin(user)))
  return { user, tokens, begun: begun.map(({ attempt }) => attempt) }
})
type Victim = Effect.Success<typeof aVictim>

type Call = Effect.Effect<unknown, { readonly _tag: string }>

/** What needs the row of a user, of whom `index` tells the callers apart. */
const callsFor: Readonly<
  Record<string, (service: Service, victim: Victim, index: number) => Call>
> = {
  "tokens.create": ({ tokens }, { user }) => tokens.create(aToken(user.id)),
  "tokens.create with a key": ({ tokens }, { user }) =>
    tokens.create(aToken(user.id), { idempotencyKey: aTokenId() }),
  "tokens.create with a limit": ({ tokens }, { user }) =>
    tokens.create(aToken(user.id, { maxSessions: 100 })),
  "tokens.rotate": ({ tokens }, victim, index) =>
    tokens.rotate(tokenOf(victim, index).tokenHash, aSuccessor()),
  "tokens.rotate with a key": ({ tokens }, victim, index) =>
    tokens.rotate(tokenOf(victim, index).tokenHash, aSuccessor(), { idempotencyKey: aTokenId() }),
  "tokens.rotateWithUser": ({ tokens }, victim, index) =>
    tokens.rotateWithUser(tokenOf(victim, index).tokenHash, aSuccessor()),
  "tokens.revokeAllForUser": ({ tokens }, { user }) => tokens.revokeAllForUser(user.id),
  "tokens.revokeSession": ({ tokens }, victim, index) =>
    tokens.revokeSession(victim.user.id, tokenOf(victim, index).sessionId),
  "attempts.create": ({ attempts }, { user }) => attempts.create(anAttempt({ userId: user.id })),
  "attempts.create with a key": ({ attempts }, { user }) =>
    attempts.create(anAttempt({ userId: user.id }), { idempotencyKey: anAttemptId() }),
  "attempts.begin": ({ attempts }, { user }) => attempts.begin(anAttemptToBegin(user)),
  "attempts.begin with a limit": ({ attempts }, { user }) =>
    attempts.begin(anAttemptToBegin({ email: user.email, limits: [byEmail] })),
  "attempts.begin with a key": ({ attempts }, { user }) =>
    attempts.begin(anAttemptToBegin(user), { idempotencyKey: anAttemptId() }),
  "attempts.complete with a token": ({ attempts }, { user, begun }, index) =>
    attempts.complete(begun[index]?.id ?? anAttemptId(), succeeded(user)),
  "attempts.forgive": ({ attempts }, { user }) => attempts.forgive(user.id),
  "users.update": ({ users }, { user }, index) =>
    users.update(user.id, { fullName: `Ada ${index}` }),
  "users.update with revokeSessions": ({ users }, { user }, index) =>
    users.update(user.id, { fullName: `Ada ${index}` }, { revokeSessions: {} }),
  "users.update that deactivates": ({ users }, { user }) =>
    users.update(user.id, { isActive: false }),
  "users.getOrCreateByGoogleId": ({ users }, { user }) =>
    users.getOrCreateByGoogleId(GoogleId.make(user.id), fromGoogle(user.email)),
  "users.delete": ({ users }, { user }) => users.delete(user.id),
}

/** Links or takes over the account that has the address. */
const fromGoogle = (email: Email): GoogleAccount => ({
  email,
  emailVerified: true,
  fullName: null,
  onEmailTaken: "link",
})

const tokenOf = ({ tokens }: Victim, index: number): RefreshToken =>
  tokens[index] ?? assert.fail("A token for each caller")

/** Everything that can be done for another user, once each; ends when all of it is done. */
const serve = Effect.fnUntraced(function* ({ users, tokens, attempts }: Service) {
  const user = yield* users.create(aUser())
  const google = yield* users.create(aGoogleUser(), { idempotencyKey: aUserId() })
  yield* users.getById(user.id)
  yield* users.getByEmail(user.email)
  assert(google.googleId !== null)
  yield* users.getByGoogleId(google.googleId)
  yield* users.list({ limit: 10 })
  yield* users.update(user.id, { fullName: "Grace" })
  yield* users.getOrCreateByGoogleId(google.googleId, fromGoogle(google.email))
  const another = yield* users.getOrCreateByGoogleId(aGoogleId(), fromGoogle(anEmail()))
  yield* users.getOrCreateByGoogleId(aGoogleId(), fromGoogle(user.email))
  yield* users.update(another.user.id, { isActive: false })
  const token = yield* tokens.create(aToken(user.id))
  yield* tokens.create(aToken(user.id), { idempotencyKey: aTokenId() })
  yield* tokens.getByTokenHash(token.tokenHash)
  yield* tokens.create(aToken(user.id, { maxSessions: 10 }))
  yield* tokens.getValidByTokenHash(token.tokenHash)
  yield* tokens.getValidWithUser(token.tokenHash)
  const second = yield* tokens.rotate(token.tokenHash, aSuccessor())
  const third = yield* tokens.rotate(second.tokenHash, aSuccessor(), {
    idempotencyKey: aTokenId(),
  })
  const { token: fourth } = yield* tokens.rotateWithUser(third.tokenHash, aSuccessor())
  yield* tokens.rotate(third.tokenHash, aSuccessor(), { graceSeconds: 60 })
  yield* tokens.revoke(fourth.tokenHash)
  yield* tokens.listForUser(user.id, { limit: 10 })
  const { items: [session] } = yield* tokens.listSessions(user.id, { limit: 10 })
  assert(session !== undefined)
  assert.strictEqual(yield* tokens.revokeSession(user.id, session.id), 1)
  yield* users.update(user.id, {}, { revokeSessions: { exceptSessionId: session.id } })
  yield* tokens.revokeAllForUser(user.id)
  yield* attempts.create(anAttempt({ userId: user.id }))
  yield* attempts.create(anAttempt({ userId: user.id }), { idempotencyKey: anAttemptId() })
  assert.strictEqual(yield* attempts.countRecentFailures(user.id), 2)
  const { attempt } = yield* attempts.begin(
    anAttemptToBegin({ email: user.email, limits: [byEmail] }),
  )
  yield* attempts.complete(attempt.id, succeeded(user))
  yield* attempts.forgive(user.id)
  yield* attempts.listForUser(user.id, { limit: 10 })
  yield* users.lookup({ emails: [user.email] })
  yield* attempts.countRecentFailuresFrom({ email: user.email })
  yield* attempts.countRecentFailuresFrom({ ipAddress: anIpAddress() })
  // What is refused is served as well.
  const refused = yield* outcomes<unknown, { readonly _tag: string }, never>([
    users.create(aUser({ email: user.email })),
    tokens.rotate(token.tokenHash, aSuccessor()),
    tokens.rotate(token.tokenHash, aSuccessor(), { onReuse: "revoke-session" }),
    tokens.create(aToken(aUserId())),
    tokens.create(aToken(another.user.id)),
    attempts.create(anAttempt({ userId: aUserId() })),
  ])
  assert.deepStrictEqual(refused, [
    "EmailTaken",
    "RefreshTokenReused",
    "RefreshTokenReused",
    "UserNotFound",
    "UserInactive",
    "UserNotFound",
  ])
  yield* users.delete(google.id)
})

/**
 * Begins the calls while somebody holds the lock, and serves others, one and many at once, while none
 * of the calls can have ended. Gives what becomes of the calls.
 */
const servedBeside = Effect.fnUntraced(function* (
  service: Service,
  lock: Effect.Effect<unknown, SqlError.SqlError, SqlClient.SqlClient>,
  calls: ReadonlyArray<Call>,
) {
  const waiting = yield* whileHeld(
    lock,
    Effect.gen(function* () {
      const waiting = yield* Effect.forEach(
        calls,
        (call) => Effect.forkChild(Effect.result(call), { startImmediately: true }),
      )
      yield* untilBlocked(1)
      yield* serve(service)
      yield* atOnce(sixty.slice(0, 10).map(() => serve(service)))
      for (const fiber of waiting) assert.isUndefined(fiber.pollUnsafe(), "a caller did not wait")
      return waiting
    }),
  )
  return yield* Fiber.joinAll(waiting)
})

layer(TestDatabase.layerRepositories, { excludeTestServices: true })(
  "others are served while somebody holds",
  (it) => {
    // The smallest pool that can be divided, that of a thread of four, and the default.
    for (const poolSize of [2, 3, 10]) {
      it.effect.each(Object.entries(callsFor))(
        `a user's row, from a pool of ${poolSize}, and sixty callers want it: %s`,
        ([, call]) =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const service = yield* serviceWith(poolSize)
            const victim = yield* aVictim
            const results = yield* servedBeside(
              service,
              sql`SELECT FROM users WHERE id = ${victim.user.id} FOR UPDATE`,
              sixty.map((_, index) => call(service, victim, index)),
            )
            assert.lengthOf(results, 60)
          }).pipe(Effect.scoped),
      )
    }

    it.effect("a user's row, and sixty callers of every kind want it", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const service = yield* serviceWith(2)
        const victim = yield* aVictim
        const { "users.delete": _, ...kinds } = callsFor
        const all = Object.values(kinds)
        const results = yield* servedBeside(
          service,
          sql`SELECT FROM users WHERE id = ${victim.user.id} FOR UPDATE`,
          sixty.flatMap((_, index) => {
            const call = all[index % all.length]
            return call === undefined ? [] : [call(service, victim, index)]
          }),
        )
        assert.lengthOf(results, 60)
      }).pipe(Effect.scoped))

    it.effect("a user's row to delete it, and sixty guesses at the account come", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const service = yield* serviceWith(2)
        const { id: userId } = yield* aSavedUser()
        const results = yield* servedBeside(
          service,
          sql`DELETE FROM users WHERE id = ${userId}`,
          sixty.map(() => service.attempts.create(anAttempt({ userId }))),
        )
        assert.isTrue(results.every((result) => result._tag === "Failure"))
      }).pipe(Effect.scoped))

    it.effect.each(["rotate", "revoke", "revokeSession"] as const)(
      "all tokens of a user, and sixty callers want to %s one each",
      (kind) =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const service = yield* serviceWith(3)
          const { user, tokens } = yield* aVictim
          const results = yield* servedBeside(
            service,
            sql`SELECT FROM refresh_tokens WHERE user_id = ${user.id} FOR UPDATE`,
            tokens.map(({ tokenHash, userId, sessionId }) =>
              kind === "rotate"
                ? service.tokens.rotate(tokenHash, aSuccessor())
                : kind === "revoke"
                ? service.tokens.revoke(tokenHash)
                : service.tokens.revokeSession(userId, sessionId)
            ),
          )
          assert.isTrue(results.every((result) => result._tag === "Success"))
        }).pipe(Effect.scoped),
    )

    it.effect("the rows of sixty users, and each is wanted", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const service = yield* serviceWith(2)
        const users = yield* Effect.forEach(sixty, () => aSavedUser())
        const results = yield* servedBeside(
          service,
          sql`SELECT FROM users WHERE id = ANY(${users.map(({ id }) => id)}::uuid[]) FOR UPDATE`,
          users.map(({ id }) => service.users.update(id, { fullName: "Ada" })),
        )
        assert.isTrue(results.every((result) => result._tag === "Success"))
      }).pipe(Effect.scoped))

    it.effect("a row for longer than callers may wait, who then are told so", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { users } = yield* serviceWith(2, Duration.millis(300))
        const { id } = yield* aSavedUser()
        const results = yield* whileHeld(
          sql`SELECT FROM users WHERE id = ${id} FOR UPDATE`,
          atOnce(sixty.map(() => Effect.flip(users.update(id, { fullName: "Ada" })))),
        )
        for (const error of results) {
          assert.deepStrictEqual(error, new DatabaseUnavailable({ code: "55P03" }))
        }
      }).pipe(Effect.scoped))

    it.effect("a user's row, and waits for it in a transaction as long as the session does", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const service = yield* serviceWith(2)
        const { id } = yield* aSavedUser()
        const change = yield* whileHeld(
          sql`SELECT FROM users WHERE id = ${id} FOR UPDATE`,
          Effect.gen(function* () {
            const change = yield* Effect.forkChild(
              service.sql.withTransaction(service.users.update(id, { fullName: "Ada" })),
              { startImmediately: true },
            )
            yield* untilBlocked(1)
            yield* serve(service)
            assert.isUndefined(change.pollUnsafe())
            return change
          }),
        )
        assert.strictEqual((yield* Fiber.join(change)).fullName, "Ada")
      }).pipe(Effect.scoped))
  },
)
