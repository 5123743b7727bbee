/**
 * What a call does to the tables, and what its caller is told.
 *
 * The model invents nothing that the database generates: the id and time of a new row and the version
 * of a changed user are taken from the answer that is checked.
 */
import * as attempts from "./attemptsModel.ts"
import type { Answer, Call, Step, Tables } from "./Tables.ts"
import * as tokens from "./tokensModel.ts"
import * as users from "./usersModel.ts"

export const step = (tables: Tables, call: Call, answer: Answer): Step => {
  const { operation } = call
  switch (operation._tag) {
    case "CreateUser":
      return users.createUser(tables, operation, answer)
    case "UpdateUser":
      return users.updateUser(tables, operation, call, answer)
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
    case "CreateToken":
      return tokens.createToken(tables, operation, answer)
    case "GetToken":
      return tokens.findToken(tables, operation.tokenHash, false)
    case "GetValidToken":
      return tokens.findToken(tables, operation.tokenHash, true)
    case "Revoke":
      return tokens.revoke(tables, operation)
    case "Rotate":
      return tokens.rotate(tables, operation, answer)
    case "RevokeAll":
      return tokens.revokeAll(tables, operation)
    case "ListTokens":
      return tokens.listTokens(tables, operation, call)
    case "ExpireToken":
      return tokens.expireToken(tables, operation)
    case "AlignTokens":
      return tokens.alignTokens(tables, operation)
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
