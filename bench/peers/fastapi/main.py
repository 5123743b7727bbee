"""The routes of the benchmark with FastAPI, SQLAlchemy and asyncpg."""

import json
import os
import secrets
from datetime import timedelta
from typing import Optional
from uuid import UUID

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import sessionmaker

import statements
from models import (
    AttemptToBegin,
    Begun,
    BegunWithUser,
    Completed,
    Completion,
    Credentials,
    Email,
    Failures,
    Include,
    IncludeCredentials,
    LoginAttempt,
    LoginAttemptRow,
    NewAttempt,
    NewSuccessor,
    NewToken,
    NewUser,
    RefreshToken,
    RefreshTokenRow,
    RefreshTokenWithUser,
    User,
    UserChanges,
    UserRow,
)

engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=10, max_overflow=0)
Session = sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
authorization = f"Bearer {os.environ['API_KEY']}".encode()


class Problem(Exception):
    def __init__(self, status: int, name: str):
        self.status = status
        self.name = name


async def authorize(request: Request):
    given = request.headers.get("authorization", "").encode()
    if not secrets.compare_digest(given, authorization):
        raise Problem(401, "unauthorized")


async def session():
    async with Session() as opened:
        yield opened


app = FastAPI(dependencies=[Depends(authorize)])

CONSTRAINTS = {
    "users_email_key": (409, "email-taken"),
    "users_google_id_key": (409, "google-id-taken"),
    "users_auth_provider_check": (422, "credentials-missing"),
    "refresh_tokens_token_hash_key": (409, "token-hash-taken"),
    "refresh_tokens_user_id_fkey": (422, "user-not-found"),
    "login_attempts_user_id_fkey": (422, "user-not-found"),
}


def answer(status: int, name: str):
    return JSONResponse(
        {"type": f"https://latchkey.dev/problems/{name}", "title": name, "status": status},
        status,
        media_type="application/problem+json",
    )


@app.exception_handler(Problem)
async def on_problem(_: Request, problem: Problem):
    return answer(problem.status, problem.name)


@app.exception_handler(RequestValidationError)
async def on_invalid_request(_: Request, __: RequestValidationError):
    return answer(400, "invalid-request")


@app.exception_handler(IntegrityError)
async def on_violation(_: Request, error: IntegrityError):
    constraint = getattr(error.orig.__cause__, "constraint_name", None)
    return answer(*CONSTRAINTS.get(constraint, (500, "internal-error")))


async def created(db: AsyncSession, row):
    db.add(row)
    await db.commit()
    return row


async def one(db: AsyncSession, statement, **values):
    return (await db.execute(statement, values)).scalar_one_or_none()


def optional_text(address):
    return None if address is None else str(address)


@app.get("/v1/users/{id}", response_model=User)
async def user_by_id(id: UUID, db: AsyncSession = Depends(session)):
    user = await db.get(UserRow, id)
    if user is None:
        raise Problem(404, "user-not-found")
    return user


@app.get("/v1/users/by-email/{email}", response_model=User)
async def user_by_email(email: Email, db: AsyncSession = Depends(session)):
    query = select(UserRow).where(func.lower(UserRow.email) == func.lower(email))
    user = (await db.execute(query)).scalar_one_or_none()
    if user is None:
        raise Problem(404, "user-not-found")
    return user


@app.post("/v1/users", response_model=User, status_code=201)
async def create_user(body: NewUser, db: AsyncSession = Depends(session)):
    return await created(
        db,
        UserRow(
            email=body.email,
            full_name=body.full_name,
            password_hash=body.password_hash,
            auth_provider=body.auth_provider.value,
            google_id=body.google_id,
            is_active=body.is_active,
        ),
    )


@app.patch("/v1/users/{id}", response_model=User)
async def update_user(id: UUID, body: UserChanges, db: AsyncSession = Depends(session)):
    # Whoever makes tokens shares the user's row, which the update takes: none can be added any more
    # when the next statement looks for them, and all that were are seen.
    user = await one(
        db, statements.update_password, given_user_id=id, given_password_hash=body.password_hash
    )
    if user is None:
        raise Problem(404, "user-not-found")
    if body.revoke_sessions is not None:
        values = {
            "given_user_id": id,
            "given_session_id": body.revoke_sessions.except_session_id,
            "given_reason": body.revoke_sessions.reason,
        }
        await db.execute(statements.revoke_other_sessions, values)
    await db.commit()
    return user


@app.get("/v1/users/{id}/login-attempts/recent-failures", response_model=Failures)
async def recent_failures(
    id: UUID,
    minutes: int = Query(15, ge=1, le=43200),
    db: AsyncSession = Depends(session),
):
    counted = (
        select(func.count())
        .where(
            LoginAttemptRow.user_id == UserRow.id,
            LoginAttemptRow.success.is_(False),
            LoginAttemptRow.attempted_at >= func.now() - timedelta(minutes=minutes),
        )
        .correlate(UserRow)
        .scalar_subquery()
    )
    count = (await db.execute(select(counted).where(UserRow.id == id))).scalar_one_or_none()
    if count is None:
        raise Problem(404, "user-not-found")
    return {"count": count}


@app.post("/v1/login-attempts", response_model=LoginAttempt, status_code=201)
async def create_attempt(body: NewAttempt, db: AsyncSession = Depends(session)):
    return await created(
        db,
        LoginAttemptRow(
            user_id=body.user_id,
            email=body.email,
            ip_address=str(body.ip_address),
            user_agent=body.user_agent,
            success=body.success,
            failure_reason=body.failure_reason,
        ),
    )


@app.post("/v1/login-attempts/begin", response_model=Begun, status_code=201)
async def begin_attempt(
    body: AttemptToBegin,
    include: Optional[IncludeCredentials] = None,
    db: AsyncSession = Depends(session),
):
    values = {"email": body.email, "ip_address": str(body.ip_address)}
    await db.execute(statements.lock_counters, values)
    values["user_agent"] = body.user_agent
    values["limits"] = json.dumps([limit.dict() for limit in body.limits])
    row = (await db.execute(statements.begin_attempt, values)).one_or_none()
    await db.commit()
    if row is None:
        raise Problem(429, "too-many-failures")
    begun = {"attempt": row, "counts": row.counts, "known_source": row.known_source}
    if include is None:
        return begun
    user = None if row.owner is None else Credentials(**row.owner)
    answered = BegunWithUser(**{**begun, "attempt": LoginAttempt.from_orm(row)}, user=user)
    return Response(answered.json(by_alias=True), 201, media_type="application/json")


@app.post("/v1/login-attempts/{id}/complete", response_model=Completed)
async def complete_attempt(id: UUID, body: Completion, db: AsyncSession = Depends(session)):
    token = body.refresh_token
    values = {"given_attempt_id": id, "given_reason": body.failure_reason}
    if token is None:
        values["given_success"] = body.success
        attempt = await one(db, statements.complete_attempt, **values)
        await db.commit()
        if attempt is not None:
            return {"attempt": attempt, "refresh_token": None}
    else:
        values["given_user_id"] = token.user_id
        values["given_version"] = token.user_version
        values.update(values_of(token))
        row = (await db.execute(statements.complete_with_token, values)).one_or_none()
        await db.commit()
        if row is not None:
            return {"attempt": row[0], "refresh_token": row[1]}
    row = (await db.execute(statements.attempt_by_id, {"given_attempt_id": id})).one_or_none()
    if row is None:
        raise Problem(404, "login-attempt-not-found")
    attempt, user = row
    if not attempt.pending:
        raise Problem(409, "attempt-completed")
    if user is None or token is None or user.id != token.user_id:
        raise Problem(422, "user-not-found")
    if not user.is_active:
        raise Problem(409, "user-inactive")
    raise Problem(412, "precondition-failed")


def values_of(body: NewSuccessor):
    return {
        "new_hash": body.token_hash,
        "new_expires_at": body.expires_at,
        "new_user_agent": body.user_agent,
        "new_ip_address": optional_text(body.ip_address),
    }


@app.post("/v1/refresh-tokens", response_model=RefreshToken, status_code=201)
async def create_token(body: NewToken, db: AsyncSession = Depends(session)):
    token = await one(
        db, statements.create_token, given_user_id=body.user_id, **values_of(body)
    )
    await db.commit()
    if token is not None:
        return token
    if await db.get(UserRow, body.user_id) is None:
        raise Problem(422, "user-not-found")
    raise Problem(409, "user-inactive")


TokenHash = Path(min_length=1, max_length=512, alias="tokenHash")


def with_user(token: RefreshTokenRow, status: int):
    body = RefreshTokenWithUser.from_orm(token).json(by_alias=True)
    return Response(body, status, media_type="application/json")


@app.get("/v1/refresh-tokens/{tokenHash}/valid", response_model=RefreshToken)
async def valid_token(
    token_hash: str = TokenHash,
    include: Optional[Include] = None,
    db: AsyncSession = Depends(session),
):
    query = statements.valid_token if include is None else statements.valid_token_with_user
    token = await one(db, query, given_hash=token_hash)
    if token is None:
        raise Problem(404, "refresh-token-not-found")
    return token if include is None else with_user(token, 200)


@app.post("/v1/refresh-tokens/{tokenHash}/revoke", response_model=RefreshToken)
async def revoke_token(token_hash: str = TokenHash, db: AsyncSession = Depends(session)):
    # A session has one live token, which a rotation replaces: if this token is live, it is the one,
    # and a rotation that waits for its row finds it revoked.
    token = await one(
        db, statements.revoke_token, given_hash=token_hash, given_reason="logout"
    )
    await db.commit()
    if token is not None:
        return token
    # Rotated before, or just now: its session may live on. When nobody shares the user's row any
    # more, all rotations are done or have to wait, and the revocation sees the session's live token.
    # A transaction of its own, since the one before may have taken the token's row, and users come
    # before tokens.
    await db.execute(statements.lock_owner, {"given_hash": token_hash})
    token = await one(db, statements.token_by_hash, given_hash=token_hash)
    if token is None:
        raise Problem(404, "refresh-token-not-found")
    values = {
        "given_user_id": token.user_id,
        "given_session_id": token.session,
        "given_reason": "logout",
    }
    await db.execute(statements.revoke_session, values)
    await db.commit()
    return token


@app.post("/v1/refresh-tokens/{tokenHash}/rotate", response_model=RefreshToken, status_code=201)
async def rotate_token(
    body: NewSuccessor,
    token_hash: str = TokenHash,
    include: Optional[Include] = None,
    db: AsyncSession = Depends(session),
):
    rotate = statements.rotate_token if include is None else statements.rotate_token_with_user
    successor = await one(db, rotate, given_hash=token_hash, **values_of(body))
    await db.commit()
    if successor is not None:
        return successor if include is None else with_user(successor, 201)
    token = await one(db, statements.token_by_hash_with_user, given_hash=token_hash)
    if token is None:
        raise Problem(404, "refresh-token-not-found")
    if not token.user.is_active:
        raise Problem(409, "user-inactive")
    if token.successor_id is not None:
        raise Problem(409, "refresh-token-reused")
    if token.revoked_at is not None:
        raise Problem(409, "refresh-token-revoked")
    raise Problem(410, "refresh-token-expired")
