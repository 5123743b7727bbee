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

const UserJson = User.json.annotate({ identifier: "User" })
const UserWithETag = HttpApiSchema.WithHeaders(UserJson, ETag)

/** What a password check needs: the only answer that carries a hash. */
const Credentials = Schema.Struct({
  userId: UserId,
  email: Schema.String,
  authProvider: AuthProvider,
  passwordHash: Schema.NullOr(Schema.String),
  googleId: Schema.NullOr(Schema.String),
  isActive: Schema.Boolean,
}).annotate({ identifier: "Credentials" })

const ById = { id: UserId }
const ByEmail = { email: Email }

export class UsersApi extends HttpApiGroup.make("users")
  .add(
    HttpApiEndpoint.post("create", "/v1/users", {
      headers: idempotencyKey(UserId),
      payload: User.insert.annotate({ identifier: "NewUser" }),
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
      success: pageOf(UserJson),
    })
      .annotate(OpenApi.Summary, "List users, the oldest first")
      .annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.get("getById", "/v1/users/:id", {
      params: ById,
      success: UserWithETag,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Get a user")
      .annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.get("getByEmail", "/v1/users/by-email/:email", {
      params: ByEmail,
      success: UserWithETag,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Get the user of an e-mail address, in whatever case")
      .annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.get("getByGoogleId", "/v1/users/by-google-id/:googleId", {
      params: { googleId: GoogleId },
      success: UserWithETag,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Get the user of a Google id")
      .annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.get("getCredentials", "/v1/users/:id/credentials", {
      params: ById,
      success: Credentials,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Get what a password check needs")
      .annotate(RequiredScope, "credentials:read"),
    HttpApiEndpoint.get("getCredentialsByEmail", "/v1/users/by-email/:email/credentials", {
      params: ByEmail,
      success: Credentials,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Get what a password check needs, by e-mail address")
      .annotate(RequiredScope, "credentials:read"),
    HttpApiEndpoint.patch("update", "/v1/users/:id", {
      params: ById,
      headers: ifMatch,
      payload: User.update.annotate({ identifier: "UserChanges" }),
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
      .annotate(OpenApi.Summary, "Change a user: absent stays, null clears, a value sets")
      .annotate(
        OpenApi.Transform,
        flow(withOptionalBody, withBodyExample({ fullName: null, isActive: false })),
      )
      .annotate(RequiredScope, "users:write"),
    HttpApiEndpoint.delete("delete", "/v1/users/:id", {
      params: ById,
      headers: ifMatch,
      success: HttpApiSchema.NoContent,
      error: [Problem.UserNotFound, Problem.PreconditionFailed],
    })
      .annotate(OpenApi.Summary, "Delete a user and its refresh tokens; login attempts stay")
      .annotate(RequiredScope, "users:write").annotate(LongRunning, true),
  )
  .middleware(CommonProblems)
  .middleware(Admission)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Users", description: "User accounts" })) {}
