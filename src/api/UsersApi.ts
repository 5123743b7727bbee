/**
 * Routes of user accounts.
 */
import { flow, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Email } from "../domain/Email.ts"
import { AuthProvider, GoogleId, User, UserId } from "../domain/User.ts"
import { Admission, LongRunning } from "./Admission.ts"
import { Authorization, RequiredScope } from "./Authorization.ts"
import { CommonProblems } from "./CommonProblems.ts"
import * as Problem from "./problems.ts"
import {
  ETag,
  idempotencyKey,
  ifMatch,
  Location,
  pageOf,
  PageQuery,
  withBodyExample,
  withOptionalBody,
} from "./requests.ts"

const UserJson = User.json.annotate({ identifier: "User", description: "A user account" })
const UserWithETag = HttpApiSchema.WithHeaders(UserJson, ETag)

/** What a password check needs: the only response with a password hash. */
const Credentials = Schema.Struct({
  userId: UserId,
  email: Schema.String,
  authProvider: AuthProvider,
  passwordHash: Schema.NullOr(Schema.String),
  googleId: Schema.NullOr(Schema.String),
  isActive: Schema.Boolean,
}).annotate({ identifier: "Credentials", description: "What a password check needs" })

const ById = { id: UserId }
const ByEmail = { email: Email }

export class UsersApi extends HttpApiGroup.make("users")
  .add(
    HttpApiEndpoint.post("create", "/v1/users", {
      headers: idempotencyKey(UserId),
      payload: User.insert.annotate({ identifier: "NewUser", description: "A user to create" }),
      success: HttpApiSchema.WithHeaders(UserJson.pipe(HttpApiSchema.status(201)), {
        ...Location,
        ...ETag,
      }),
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
          "taken the problem is `email-taken`.",
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
      query: PageQuery,
      success: pageOf("UserPage", UserJson),
    })
      .annotate(OpenApi.Summary, "List users, the oldest first")
      .annotate(
        OpenApi.Description,
        "In pages. Users that exist throughout are listed exactly once.",
      )
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
    HttpApiEndpoint.get("getCredentials", "/v1/users/:id/credentials", {
      params: ById,
      success: Credentials,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Get a user's credentials")
      .annotate(OpenApi.Description, "With the password hash, for a password check by the caller.")
      .annotate(RequiredScope, "credentials:read"),
    HttpApiEndpoint.get("getCredentialsByEmail", "/v1/users/by-email/:email/credentials", {
      params: ByEmail,
      success: Credentials,
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
      payload: User.update.annotate({
        identifier: "UserChanges",
        description: "Changes to a user",
      }),
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
          "whole must be valid, or nothing is changed. `If-Match` makes the change conditional.",
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
