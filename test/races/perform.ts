/**
 * The operations of the races, made through repositories, with their answers in the words of the model.
 */
import { Cause, Effect, Exit, Option, Predicate } from "effect"
import type { SqlClient } from "effect/sql"
import { DatabaseUnavailable } from "../../src/domain/DatabaseUnavailable.ts"
import type { RefreshToken } from "../../src/domain/RefreshToken.ts"
import type { User } from "../../src/domain/User.ts"
import type { Service } from "../support/elsewhere.ts"
import { aPasswordHash, aSuccessor, aToken } from "../support/factories.ts"
import { accountOf, type Fixture } from "./fixtures.ts"
import { type Call, maxSessions, type Operation } from "./step.ts"
import { describeAccount, live, revoked, rotatedTo } from "./World.ts"

/** Who makes calls: a service, and somebody with psql. */
export interface Actor {
  readonly service: Service
  readonly psql: SqlClient.SqlClient
}

type Performed = Effect.Effect<string, unknown>
type Perform = (actor: Actor, fixture: Fixture, call: Call) => Performed

const hashOf = ({ hashes }: Fixture, { index }: Call) => hashes[index === 1 ? "by 1" : "by 2"]

/** The answer has the hash that was asked for, and is live. */
const isAsked = (fixture: Fixture, call: Call, { tokenHash, wasValid, revokedAt }: RefreshToken) =>
  tokenHash === hashOf(fixture, call) && wasValid && revokedAt === null

const create =
  (options: (fixture: Fixture) => Parameters<typeof aToken>[1]): Perform =>
  ({ service: { tokens } }, fixture, call) =>
    Effect.map(
      tokens.create(
        aToken(fixture.user.id, { ...options(fixture), tokenHash: hashOf(fixture, call) }),
      ),
      (token) =>
        isAsked(fixture, call, token) && token.sessionId === `${token.id}`
          ? "created"
          : "another token",
    )

const rotate =
  (options: Parameters<Service["tokens"]["rotate"]>[2]): Perform =>
  ({ service: { tokens } }, fixture, call) => {
    const asked = fixture.hashes[call.operation === "rotate" ? call.current : "first"]
    return Effect.map(
      tokens.rotate(asked, aSuccessor({ tokenHash: hashOf(fixture, call) }), options),
      (token) => isAsked(fixture, call, token) ? "rotated" : "another token",
    )
  }

const statusOf = ({ tokens }: Fixture, token: RefreshToken) => {
  if (token.revokedAt === null) return live
  if (token.revokedReason !== "rotated") return revoked(token.revokedReason ?? "no reason")
  const successor = [...tokens].find(([, { id }]) => id === token.successorId)
  return successor === undefined ? undefined : rotatedTo(successor[0])
}

const describeUser = (user: User) => describeAccount(accountOf(user))

const performs: Readonly<Record<Operation, Perform>> = {
  create: create(() => ({})),
  capped: create(() => ({ maxSessions })),
  versioned: create(({ user }) => ({ userVersion: user.version })),
  rotate: rotate({}),
  grace: rotate({ graceSeconds: 60 }),
  reuse: rotate({ onReuse: "revoke-session" }),
  revoke: ({ service: { tokens } }, fixture, call) =>
    Effect.map(tokens.revoke(fixture.hashes[call.revokes]), (token) => {
      // What was rotated beside it names its successor by an id that only the end state tells.
      const status = statusOf(fixture, token) ?? `rotated to by ${call.index === 1 ? 2 : 1}`
      return token.tokenHash === fixture.hashes[call.revokes]
        ? `token is ${status}`
        : "another token"
    }),
  revokeSession: ({ service: { tokens } }, fixture, call) => {
    const token = Option.fromUndefinedOr(fixture.tokens.get(call.revokes))
    const { sessionId } = Option.getOrThrow(token)
    return Effect.map(
      tokens.revokeSession(fixture.user.id, sessionId),
      (count) => `${count} revoked`,
    )
  },
  revokeAll: ({ service: { tokens } }, { user }) =>
    Effect.map(tokens.revokeAllForUser(user.id), (count) => `${count} revoked`),
  deactivate: ({ service: { users } }, { user }) =>
    Effect.map(users.update(user.id, { isActive: false }), describeUser),
  psql: ({ psql }, { user }) =>
    Effect.map(
      psql`UPDATE users SET is_active = false WHERE id = ${user.id} RETURNING id`,
      (rows) => `${rows.length} updated`,
    ),
  delete: ({ service: { users } }, { user }) => Effect.as(users.delete(user.id), "deleted"),
  password: ({ service: { users } }, { user }, { passwordHash }) =>
    Effect.map(
      users.update(
        user.id,
        { passwordHash: aPasswordHash(passwordHash) },
        { revokeSessions: {} },
      ),
      describeUser,
    ),
  google: ({ service: { users } }, { user, googleIds }, { index }) =>
    Effect.map(
      users.getOrCreateByGoogleId(googleIds[index], {
        email: user.email,
        emailVerified: true,
        fullName: null,
        onEmailTaken: "link",
      }),
      (answer) => answer.isNew ? "new" : describeUser(answer.user),
    ),
  complete: ({ service: { attempts } }, fixture, call) => {
    const { attempt, user } = fixture
    const token = aToken(user.id, {
      userVersion: user.version,
      tokenHash: hashOf(fixture, call),
    })
    return Effect.map(
      attempts.complete(attempt, { success: true, failureReason: null, refreshToken: token }),
      ({ attempt: completed, refreshToken }) =>
        completed.success && !completed.pending && Option.isSome(refreshToken) &&
          isAsked(fixture, call, refreshToken.value)
          ? "created"
          : "another answer",
    )
  },
}

/** An error as callers tell it from others. */
const describeError = (error: unknown): string => {
  if (error instanceof DatabaseUnavailable) return `DatabaseUnavailable ${error.code}`
  if (!Predicate.hasProperty(error, "_tag")) return `error ${error}`
  const state = Predicate.hasProperty(error, "session") ? error.session : error
  if (!Predicate.hasProperty(state, "sessionIsLive")) return `${error._tag}`
  return `${error._tag} ${
    state.sessionIsLive === true ? "of a live session" : "of an ended session"
  }`
}

const describeExit = (exit: Exit.Exit<string, unknown>) =>
  Exit.match(exit, {
    onSuccess: (answer) => answer,
    onFailure: (cause) =>
      Option.match(Cause.findErrorOption(cause), {
        onSome: describeError,
        onNone: () => `defect ${Cause.pretty(cause)}`,
      }),
  })

/** Makes one call of a fixture's pair and tells its answer, whatever it is. */
export const perform = (actor: Actor, fixture: Fixture, call: Call): Effect.Effect<string> =>
  Effect.map(
    Effect.exit(performs[call.operation](actor, fixture, call)),
    describeExit,
  )
