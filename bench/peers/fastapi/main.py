"""The routes of the benchmark with FastAPI, SQLAlchemy and asyncpg."""

import os
import secrets
from datetime import timedelta
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import sessionmaker

from models import (
    Email,
    Failures,
    LoginAttempt,
    LoginAttemptRow,
    NewAttempt,
    NewSuccessor,
    NewToken,
    NewUser,
    RefreshToken,
    RefreshTokenRow,
    User,
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


@app.post("/v1/refresh-tokens", response_model=RefreshToken, status_code=201)
async def create_token(body: NewToken, db: AsyncSession = Depends(session)):
    return await created(
        db,
        RefreshTokenRow(
            user_id=body.user_id,
            token_hash=body.token_hash,
            expires_at=body.expires_at,
            user_agent=body.user_agent,
            ip_address=optional_text(body.ip_address),
        ),
    )


TokenHash = Path(min_length=1, max_length=512, alias="tokenHash")


@app.get("/v1/refresh-tokens/{tokenHash}/valid", response_model=RefreshToken)
async def valid_token(token_hash: str = TokenHash, db: AsyncSession = Depends(session)):
    query = select(RefreshTokenRow).where(
        RefreshTokenRow.token_hash == token_hash,
        RefreshTokenRow.revoked_at.is_(None),
        RefreshTokenRow.expires_at > func.now(),
    )
    token = (await db.execute(query)).scalar_one_or_none()
    if token is None:
        raise Problem(404, "refresh-token-not-found")
    return token


@app.post("/v1/refresh-tokens/{tokenHash}/revoke", response_model=RefreshToken)
async def revoke_token(token_hash: str = TokenHash, db: AsyncSession = Depends(session)):
    statement = (
        update(RefreshTokenRow)
        .where(RefreshTokenRow.token_hash == token_hash)
        .values(revoked_at=func.coalesce(RefreshTokenRow.revoked_at, func.now()))
        .returning(RefreshTokenRow.__table__)
        .execution_options(synchronize_session=False)
    )
    row = (await db.execute(statement)).one_or_none()
    await db.commit()
    if row is None:
        raise Problem(404, "refresh-token-not-found")
    return RefreshTokenRow(**row)


@app.post("/v1/refresh-tokens/{tokenHash}/rotate", response_model=RefreshToken, status_code=201)
async def rotate_token(
    body: NewSuccessor, token_hash: str = TokenHash, db: AsyncSession = Depends(session)
):
    successor_id = uuid4()
    spend = (
        update(RefreshTokenRow)
        .where(
            RefreshTokenRow.token_hash == token_hash,
            RefreshTokenRow.revoked_at.is_(None),
            RefreshTokenRow.expires_at > func.now(),
        )
        .values(revoked_at=func.now(), successor_id=successor_id)
        .returning(RefreshTokenRow.user_id)
        .execution_options(synchronize_session=False)
    )
    user_id = (await db.execute(spend)).scalar_one_or_none()
    if user_id is not None:
        return await created(
            db,
            RefreshTokenRow(
                id=successor_id,
                user_id=user_id,
                token_hash=body.token_hash,
                expires_at=body.expires_at,
                user_agent=body.user_agent,
                ip_address=optional_text(body.ip_address),
            ),
        )
    query = select(RefreshTokenRow).where(RefreshTokenRow.token_hash == token_hash)
    token = (await db.execute(query)).scalar_one_or_none()
    if token is None:
        raise Problem(404, "refresh-token-not-found")
    if token.successor_id is not None:
        raise Problem(409, "refresh-token-reused")
    if token.revoked_at is not None:
        raise Problem(409, "refresh-token-revoked")
    raise Problem(410, "refresh-token-expired")
