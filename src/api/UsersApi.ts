/**
 * Routes of user accounts.
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Email } from "../domain/Email.ts"
import { AuthProvider, GoogleId, User, UserId } from "../domain/User.ts"
import { Admission, LongRunning } from "./Admission.ts"
import { Authorization, RequiredScope } from "./Authorization.ts"
import { CommonProblems } from "./CommonProblems.ts"
import * as Problem from "./problems.ts"
import { ETag, idempotencyKey, ifMatch, Location, pageOf, PageQuery } from "./requests.ts"

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
      ],
    }).annotate(RequiredScope, "users:write"),
    HttpApiEndpoint.get("list", "/v1/users", {
      query: PageQuery,
      success: pageOf(UserJson),
    }).annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.get("getById", "/v1/users/:id", {
      params: ById,
      success: UserWithETag,
      error: Problem.UserNotFound,
    }).annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.get("getByEmail", "/v1/users/by-email/:email", {
      params: ByEmail,
      success: UserWithETag,
      error: Problem.UserNotFound,
    }).annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.get("getByGoogleId", "/v1/users/by-google-id/:googleId", {
      params: { googleId: GoogleId },
      success: UserWithETag,
      error: Problem.UserNotFound,
    }).annotate(RequiredScope, "users:read"),
    HttpApiEndpoint.get("getCredentials", "/v1/users/:id/credentials", {
      params: ById,
      success: Credentials,
      error: Problem.UserNotFound,
    }).annotate(RequiredScope, "credentials:read"),
    HttpApiEndpoint.get("getCredentialsByEmail", "/v1/users/by-email/:email/credentials", {
      params: ByEmail,
      success: Credentials,
      error: Problem.UserNotFound,
    }).annotate(RequiredScope, "credentials:read"),
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
      ],
    }).annotate(RequiredScope, "users:write"),
    HttpApiEndpoint.delete("delete", "/v1/users/:id", {
      params: ById,
      headers: ifMatch,
      success: HttpApiSchema.NoContent,
      error: [Problem.UserNotFound, Problem.PreconditionFailed],
    }).annotate(RequiredScope, "users:write").annotate(LongRunning, true),
  )
  .middleware(CommonProblems)
  .middleware(Admission)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Users", description: "User accounts" })) {}
