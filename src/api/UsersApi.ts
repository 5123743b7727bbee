/**
 * Routes of user accounts.
 */
import { flow, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Email, EmailPrefix } from "../domain/Email.ts"
import { RevocationReason, SessionId } from "../domain/Session.ts"
import { AuthProvider, GoogleId, OnEmailTaken, User, UserId } from "../domain/User.ts"
import { Admission, LongRunning } from "./Admission.ts"
import { Authorization, RequiredScope } from "./Authorization.ts"
import { CommonProblems } from "./CommonProblems.ts"
import * as Problem from "./problems.ts"
import {
  BooleanFromWord,
  Count,
  ETag,
  idempotencyKey,
  ifMatch,
  Location,
  optional,
  pageOf,
  PageQuery,
  withBodyExample,
  withOptionalBody,
} from "./requests.ts"

export const UserJson = User.json.annotate({ identifier: "User", description: "A user account" })
export const UserWithETag = HttpApiSchema.WithHeaders(UserJson, ETag)

const CreatedUser = HttpApiSchema.WithHeaders(UserJson.pipe(HttpApiSchema.status(201)), {
  ...Location,
  ...ETag,
})

/** What a password check needs: the only response with a password hash, and its version. */
export const Credentials = Schema.Struct({
  userId: UserId,
  email: Schema.String,
  authProvider: AuthProvider,
  passwordHash: Schema.NullOr(Schema.String),
  googleId: Schema.NullOr(Schema.String),
  isActive: Schema.Boolean,
  version: Schema.String,
}).annotate({ identifier: "Credentials", description: "What a password check needs" })
const CredentialsWithETag = HttpApiSchema.WithHeaders(Credentials, ETag)

const SessionsToRevoke = Schema.Struct({
  reason: optional(RevocationReason),
  exceptSessionId: optional(SessionId),
}).annotate({
  identifier: "SessionsToRevoke",
  description: "The sessions that end in the same transaction: all but `exceptSessionId`",
})

export const UserChanges = Schema.Struct({
  ...User.update.fields,
  revokeSessions: optional(SessionsToRevoke),
}).annotate({ identifier: "UserChanges", description: "Changes to a user" }).check(
  Schema.makeFilter(({ isActive, revokeSessions }) =>
    isActive === false && (revokeSessions?.exceptSessionId ?? null) !== null
      ? {
        path: ["revokeSessions", "exceptSessionId"],
        issue: "Expected none where isActive is false: an inactive user has no session",
      }
      : true
  ),
).annotate({ identifier: "UserChanges" })

/** What Google's ID token says of its holder. */
const GoogleSignIn = Schema.Struct({
  email: Email,
  emailVerified: Schema.Boolean,
  fullName: User.insert.fields.fullName,
  onEmailTaken: Schema.optionalKey(OnEmailTaken),
}).annotate({ identifier: "GoogleSignIn", description: "Who signs in with Google" })

const UserCount = Schema.Struct({ count: Count, isExact: Schema.Boolean })
  .annotate({ identifier: "UserCount", description: "How many users there are" })

const several = <S extends Schema.Top>(schema: S) =>
  optional(Schema.Array(schema).check(Schema.isMinLength(1), Schema.isMaxLength(500)))

export const UsersToFind = Schema.Struct({
  ids: several(UserId),
  emails: several(Email),
  googleIds: several(GoogleId),
}).annotate({ identifier: "UsersToFind", description: "Which users to look up" }).check(
  Schema.makeFilter(({ ids, emails, googleIds }) =>
    [ids, emails, googleIds].filter((list) => list !== undefined && list !== null).length === 1 ||
    "Expected one of ids, emails and googleIds"
  ),
).annotate({ identifier: "UsersToFind" })

const ById = { id: UserId }
const ByEmail = { email: Email }

export class UsersApi extends HttpApiGroup.make("users")
  .add(
    HttpApiEndpoint.post("create", "/v1/users", {
      headers: idempotencyKey(UserId),
      payload: User.insert.annotate({ identifier: "NewUser", description: "A user to create" }),
      success: CreatedUser,
      error: [
        Problem.EmailTaken,
        Problem.GoogleIdTaken,
        Problem.CredentialsMissing,
        Problem.IdempotencyKeyReused,
        ...Problem.BodyProblems,
      ],
    })
      .annotate(OpenApi.Summary, "Create a user")
      .annotate(
        OpenApi.Description,
        "One e-mail address, whatever its case, and one Google id belong to one user. If both are " +
          "taken the problem is `google-id-taken` if by one account, `email-taken` otherwise.",
      )
      .annotate(
        OpenApi.Transform,
        withBodyExample({
          email: "ada@example.com",
          authProvider: "email",
          passwordHash: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g",
          fullName: "Ada Lovelace",
        }),
      )
      .annotate(RequiredScope, "users:write"),
    HttpApiEndpoint.get("list", "/v1/users", {
      query: { emailPrefix: Schema.optionalKey(EmailPrefix), ...PageQuery },
      success: pageOf("UserPage", UserJson),
    })
      .annotate(OpenApi.Summary, "List users, the oldest first")
      .annotate(
        OpenApi.Description,
        "In pages. Users that exist throughout are listed exactly once. With `emailPrefix`, those " +
          "whose address begins so, whatever its case, in the order of their addresses.",
      )
      .annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.get("count", "/v1/users/count", {
      query: { exact: Schema.optionalKey(BooleanFromWord) },
      success: UserCount,
    })
      .annotate(OpenApi.Summary, "Count users")
      .annotate(
        OpenApi.Description,
        "Above a hundred thousand an estimate of PostgreSQL's, unless `exact=true`: counting reads " +
          "every user.",
      )
      .annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.post("lookup", "/v1/users/lookup", {
      payload: UsersToFind,
      success: Schema.Struct({ users: Schema.Array(UserJson) })
        .annotate({ identifier: "FoundUsers", description: "Users that were looked up" }),
      error: Problem.BodyProblems,
    })
      .annotate(OpenApi.Summary, "Look up many users at once")
      .annotate(
        OpenApi.Description,
        "By one of `ids`, `emails` and `googleIds`. Each user once, in no order; what is not found is " +
          "left out. Addresses stay out of URLs, and so out of logs.",
      )
      .annotate(OpenApi.Transform, withBodyExample({ emails: ["ada@example.com"] }))
      .annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.get("getById", "/v1/users/:id", {
      params: ById,
      success: UserWithETag,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Get a user")
      .annotate(OpenApi.Description, "The response never has the password hash.")
      .annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.get("getByEmail", "/v1/users/by-email/:email", {
      params: ByEmail,
      success: UserWithETag,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Get the user with an e-mail address")
      .annotate(OpenApi.Description, "The case of the address makes no difference.")
      .annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.get("getByGoogleId", "/v1/users/by-google-id/:googleId", {
      params: { googleId: GoogleId },
      success: UserWithETag,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Get the user with a Google id")
      .annotate(OpenApi.Description, "Google ids are case-sensitive.")
      .annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.put("getOrCreateByGoogleId", "/v1/users/by-google-id/:googleId", {
      params: { googleId: GoogleId },
      payload: GoogleSignIn,
      success: [CreatedUser, UserWithETag],
      error: [Problem.EmailTaken, Problem.UserInactive, ...Problem.BodyProblems],
    })
      .annotate(OpenApi.Summary, "Sign in with Google: get, create or link the user")
      .annotate(
        OpenApi.Description,
        "200 with the user who has the Google id, unchanged; otherwise 201 with a new one, also when " +
          "many requests come at once. If another account has the address it is `email-taken`, unless " +
          "`onEmailTaken` is `link` and `emailVerified` is true. Then an account whose own address is " +
          "verified gets the Google id; any other is taken over: its provider becomes `google`, its " +
          "password hash is cleared and its sessions end, since whoever registered the address before " +
          "need not be its owner. An account with another Google id is never changed.",
      )
      .annotate(
        OpenApi.Transform,
        withBodyExample({
          email: "ada@example.com",
          emailVerified: true,
          fullName: "Ada Lovelace",
          onEmailTaken: "link",
        }),
      )
      .annotate(RequiredScope, "users:write"),
    HttpApiEndpoint.get("getCredentials", "/v1/users/:id/credentials", {
      params: ById,
      success: CredentialsWithETag,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Get a user's credentials")
      .annotate(
        OpenApi.Description,
        "With the password hash, for a password check by the caller, and the version of the user: " +
          "what is changed or created after the check can depend on it.",
      )
      .annotate(RequiredScope, "credentials:read"),
    HttpApiEndpoint.get("getCredentialsByEmail", "/v1/users/by-email/:email/credentials", {
      params: ByEmail,
      success: CredentialsWithETag,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Get the credentials of the user with an e-mail address")
      .annotate(
        OpenApi.Description,
        "With the password hash, for a password check by the caller. The case of the address " +
          "makes no difference.",
      )
      .annotate(RequiredScope, "credentials:read"),
    HttpApiEndpoint.patch("update", "/v1/users/:id", {
      params: ById,
      headers: ifMatch,
      payload: UserChanges,
      success: UserWithETag,
      error: [
        Problem.UserNotFound,
        Problem.EmailTaken,
        Problem.GoogleIdTaken,
        Problem.PreconditionFailed,
        Problem.CredentialsMissing,
        ...Problem.BodyProblems,
      ],
    })
      .annotate(OpenApi.Summary, "Change a user")
      .annotate(
        OpenApi.Description,
        "A property that is absent stays, null clears it, and a value sets it. The result as a " +
          "whole must be valid, or nothing is changed. `If-Match` makes the change conditional. " +
          "`revokeSessions` ends the user's sessions in the same transaction, as a password change " +
          "should; so does `isActive: false`, for all of them. Another `email` is not verified unless " +
          "`emailVerifiedAt` is given as well.",
      )
      .annotate(
        OpenApi.Transform,
        flow(withOptionalBody, withBodyExample({ fullName: null, isActive: false })),
      )
      .annotate(RequiredScope, "users:write"),
    HttpApiEndpoint.delete("delete", "/v1/users/:id", {
      params: ById,
      headers: ifMatch,
      success: HttpApiSchema.NoContent.annotate({ description: "The user is deleted" }),
      error: [Problem.UserNotFound, Problem.PreconditionFailed],
    })
      .annotate(OpenApi.Summary, "Delete a user and their refresh tokens")
      .annotate(
        OpenApi.Description,
        "Login attempts stay, without the user's id. `If-Match` makes the deletion conditional.",
      )
      .annotate(RequiredScope, "users:write").annotate(LongRunning, true),
  )
  .middleware(CommonProblems)
  .middleware(Admission)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Users", description: "User accounts" })) {}
