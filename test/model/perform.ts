/**
 * Calls as the repositories answer them, in the words of the model.
 */
import { Effect, Predicate } from "effect"
import * as attempts from "./performAttempts.ts"
import * as tokens from "./performTokens.ts"
import * as users from "./performUsers.ts"
import type { Answer, Call } from "./Tables.ts"

const answer = Effect.fnUntraced(function* (call: Call) {
  const { operation } = call
  switch (operation._tag) {
    case "CreateUser":
      return yield* users.createUser(operation)
    case "UpdateUser":
      return yield* users.updateUser(operation, call)
    case "GetOrCreateByGoogleId":
      return yield* users.getOrCreateByGoogleId(operation)
    case "DeleteUser":
      return yield* users.deleteUser(operation, call)
    case "GetUser":
      return yield* users.getUser(operation)
    case "GetUserByEmail":
      return yield* users.getUserByEmail(operation)
    case "GetUserByGoogleId":
      return yield* users.getUserByGoogleId(operation)
    case "ListUsers":
      return yield* users.listUsers(operation, call)
    case "WriteUserByHand":
      return yield* users.writeUserByHand(operation)
    case "SetActiveByHand":
      return yield* users.setActiveByHand(operation)
    case "CreateToken":
      return yield* tokens.createToken(operation, call)
    case "GetToken":
      return yield* tokens.getToken(operation)
    case "GetValidToken":
      return yield* tokens.getValidToken(operation)
    case "Revoke":
      return yield* tokens.revoke(operation)
    case "Rotate":
      return yield* tokens.rotate(operation)
    case "RevokeAll":
      return yield* tokens.revokeAll(operation, call)
    case "RevokeSession":
      return yield* tokens.revokeSession(operation, call)
    case "ListTokens":
      return yield* tokens.listTokens(operation, call)
    case "ListSessions":
      return yield* tokens.listSessions(operation, call)
    case "ExpireToken":
      return yield* tokens.expireToken(operation)
    case "AgeRevocation":
      return yield* tokens.ageRevocation(operation)
    case "AddSiblings":
      return yield* tokens.addSiblings(operation)
    case "AlignTokens":
      return yield* tokens.alignTokens(operation)
    case "DeleteExpired":
      return yield* tokens.deleteExpired(operation)
    case "CreateAttempt":
      return yield* attempts.createAttempt(operation)
    case "CountByUser":
      return yield* attempts.countByUser(operation)
    case "CountByOrigin":
      return yield* attempts.countByOrigin(operation)
    case "AgeAttempts":
      return yield* attempts.ageAttempts(operation)
    case "DeleteOld":
      return yield* attempts.deleteOld(operation)
  }
})

/** What an error tells besides its name: of a session, of a property, of an outage. */
const detailsOf = (error: object) => {
  if ("sessionIsLive" in error && "userId" in error && "sessionId" in error) {
    const { userId, sessionId, sessionIsLive } = error
    return { session: { userId, sessionId, sessionIsLive } }
  }
  if ("session" in error && Predicate.isObject(error.session)) return { session: error.session }
  if ("property" in error) return { property: error.property }
  return "code" in error ? { code: error.code } : {}
}

/** The answer to a call; an error is an answer as well. */
export const perform = (call: Call) =>
  answer(call).pipe(
    Effect.catchTag("SqlError", Effect.die),
    Effect.catch((error) => Effect.succeed({ error: error._tag, ...detailsOf(error) })),
    Effect.map((answer): Answer => answer),
  )
