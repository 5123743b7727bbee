/**
 * What a call does to the tables, and what its caller is told.
 *
 * The model invents nothing that the database generates: the id and time of a new row and the version
 * of a changed user are taken from the answer that is checked.
 */
import { Predicate } from "effect"
import * as attempts from "./attemptsModel.ts"
import { rotate } from "./rotationModel.ts"
import * as sessions from "./sessionsModel.ts"
import type { Answer, Call, Step, Tables } from "./Tables.ts"
import * as byHand from "./tokensByHand.ts"
import * as tokens from "./tokensModel.ts"
import * as users from "./usersModel.ts"

/** A part of an answer, where it is one of several. */
const partOf = (answer: Answer, name: "token" | "user"): Answer =>
  Predicate.hasProperty(answer, name) ? answer[name] : answer

export const step = (tables: Tables, call: Call, answer: Answer): Step => {
  const { operation } = call
  switch (operation._tag) {
    case "CreateUser":
      return users.createUser(tables, operation, answer)
    case "UpdateUser":
      return users.updateUser(tables, operation, call, answer)
    case "GetOrCreateByGoogleId":
      return users.getOrCreateByGoogleId(tables, operation, partOf(answer, "user"))
    case "DeleteUser":
      return users.deleteUser(tables, operation, call)
    case "GetUser":
      return users.findUser(tables, ({ id }) => id === operation.id)
    case "GetUserByEmail":
      return users.findUser(tables, ({ email }) => users.sameEmail(email, operation.email))
    case "GetUserByGoogleId":
      return users.findUser(tables, ({ googleId }) => googleId === operation.googleId)
    case "ListUsers":
      return users.listUsers(tables, operation, call)
    case "WriteUserByHand":
      return users.writeUserByHand(tables, operation, answer)
    case "SetActiveByHand":
      return users.setActiveByHand(tables, operation, answer)
    case "CreateToken":
      return tokens.createToken(tables, operation, call, answer)
    case "GetToken":
      return tokens.findToken(tables, operation)
    case "GetValidToken":
      return tokens.findValidToken(tables, operation)
    case "Revoke":
      return tokens.revoke(tables, operation)
    case "Rotate":
      return rotate(tables, operation, partOf(answer, "token"))
    case "RevokeAll":
      return tokens.revokeAll(tables, operation, call)
    case "RevokeSession":
      return sessions.revokeSession(tables, operation, call)
    case "ListTokens":
      return tokens.listTokens(tables, operation, call)
    case "ListSessions":
      return sessions.listSessions(tables, operation, call)
    case "ExpireToken":
      return byHand.expireToken(tables, operation)
    case "AgeRevocation":
      return byHand.ageRevocation(tables, operation)
    case "AddSiblings":
      return byHand.addSiblings(tables, operation)
    case "AlignTokens":
      return byHand.alignTokens(tables, operation)
    case "DeleteExpired":
      return tokens.deleteExpired(tables, operation)
    case "CreateAttempt":
      return attempts.createAttempt(tables, operation, answer)
    case "CountByUser":
      return attempts.countByUser(tables, operation)
    case "CountByOrigin":
      return attempts.countByOrigin(tables, operation)
    case "AgeAttempts":
      return attempts.ageAttempts(tables, operation)
    case "DeleteOld":
      return attempts.deleteOld(tables, operation)
  }
}
