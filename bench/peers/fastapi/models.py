"""The tables, and what requests and answers look like."""

from datetime import datetime
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import List, Optional, Union
from uuid import UUID

from pydantic import BaseModel, ConstrainedStr, Extra, Field, conint, conlist, constr, root_validator
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    FetchedValue,
    ForeignKey,
    String,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ENUM, INET
from sqlalchemy.dialects.postgresql import UUID as UuidColumn
from sqlalchemy.orm import declarative_base, relationship

Base = declarative_base()


class UserRow(Base):
    __tablename__ = "users"
    __mapper_args__ = {"eager_defaults": True}

    id = Column(UuidColumn(as_uuid=True), primary_key=True, server_default=text("gen_random_uuid()"))
    email = Column(String, nullable=False)
    full_name = Column(String)
    password_hash = Column(String)
    auth_provider = Column(
        ENUM("email", "google", name="auth_provider_enum", create_type=False), nullable=False
    )
    google_id = Column(String)
    is_active = Column(Boolean, nullable=False)
    email_verified_at = Column(DateTime(timezone=True))
    created_at = Column(DateTime(timezone=True), server_default=func.now())
    updated_at = Column(DateTime(timezone=True), server_default=func.now())
    version = Column(BigInteger, server_default=FetchedValue(), server_onupdate=FetchedValue())


class RefreshTokenRow(Base):
    __tablename__ = "refresh_tokens"
    __mapper_args__ = {"eager_defaults": True}

    id = Column(UuidColumn(as_uuid=True), primary_key=True, server_default=text("gen_random_uuid()"))
    user_id = Column(UuidColumn(as_uuid=True), ForeignKey("users.id"), nullable=False)
    token_hash = Column(String, nullable=False)
    expires_at = Column(DateTime(timezone=True), nullable=False)
    created_at = Column(DateTime(timezone=True), server_default=func.now())
    revoked_at = Column(DateTime(timezone=True))
    user_agent = Column(String)
    ip_address = Column(INET)
    successor_id = Column(UuidColumn(as_uuid=True))
    session_id = Column(UuidColumn(as_uuid=True))
    signed_in_at = Column(DateTime(timezone=True))
    session_expires_at = Column(DateTime(timezone=True))
    revoked_reason = Column(String)
    user = relationship(UserRow)

    # The first token of a session has neither.

    @property
    def session(self) -> UUID:
        return self.session_id or self.id

    @property
    def began_at(self) -> datetime:
        return self.signed_in_at or self.created_at

    @property
    def is_valid(self) -> bool:
        return self.revoked_at is None and self.expires_at > datetime.now(self.expires_at.tzinfo)


class LoginAttemptRow(Base):
    __tablename__ = "login_attempts"
    __mapper_args__ = {"eager_defaults": True}

    id = Column(UuidColumn(as_uuid=True), primary_key=True, server_default=text("gen_random_uuid()"))
    user_id = Column(UuidColumn(as_uuid=True), ForeignKey("users.id"))
    email = Column(String, nullable=False)
    ip_address = Column(INET, nullable=False)
    user_agent = Column(String)
    success = Column(Boolean, nullable=False)
    failure_reason = Column(String)
    attempted_at = Column(DateTime(timezone=True), server_default=func.now())
    pending = Column(Boolean, server_default=text("false"))
    completed_at = Column(DateTime(timezone=True))
    refresh_token_id = Column(UuidColumn(as_uuid=True))


def camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class Request(BaseModel):
    class Config:
        extra = Extra.forbid
        alias_generator = camel_case


class Answer(BaseModel):
    class Config:
        orm_mode = True
        alias_generator = camel_case
        allow_population_by_field_name = True
        json_encoders = {
            datetime: lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        }


class Email(ConstrainedStr):
    max_length = 254
    regex = r"^[^@\s]+@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*$"


IpAddress = Union[IPv4Address, IPv6Address]


class AuthProvider(str, Enum):
    email = "email"
    google = "google"


class NewUser(Request):
    email: Email
    auth_provider: AuthProvider
    password_hash: Optional[constr(min_length=1, max_length=1024)] = None
    google_id: Optional[constr(min_length=1, max_length=255)] = None
    full_name: Optional[constr(min_length=1, max_length=200)] = None
    is_active: bool = True


class RevokeSessions(Request):
    reason: constr(regex=r"^[a-z][a-z0-9-]{0,63}$") = "credentials-changed"
    except_session_id: Optional[UUID] = None


class UserChanges(Request):
    password_hash: constr(min_length=1, max_length=1024)
    revoke_sessions: Optional[RevokeSessions] = None


class Include(str, Enum):
    user = "user"


class NewSuccessor(Request):
    token_hash: constr(min_length=1, max_length=512)
    expires_at: datetime
    user_agent: Optional[constr(min_length=1, max_length=1024)] = None
    ip_address: Optional[IpAddress] = None


class NewToken(NewSuccessor):
    user_id: UUID


class NewAttempt(Request):
    user_id: Optional[UUID] = None
    email: Email
    ip_address: IpAddress
    user_agent: Optional[constr(min_length=1, max_length=1024)] = None
    success: bool
    failure_reason: Optional[constr(min_length=1, max_length=256)] = None


class LimitBy(str, Enum):
    email = "email"
    ip_address = "ipAddress"


class Limit(Request):
    by: LimitBy
    failures: conint(ge=1, le=10_000)
    minutes: conint(ge=1, le=43_200)


class AttemptToBegin(Request):
    email: Email
    ip_address: IpAddress
    user_agent: Optional[constr(min_length=1, max_length=1024)] = None
    limits: conlist(Limit, max_items=8) = []


class IncludeCredentials(str, Enum):
    credentials = "credentials"


class FirstToken(NewToken):
    user_version: Optional[constr(min_length=1, max_length=64)] = None


class Completion(Request):
    success: bool
    failure_reason: Optional[constr(min_length=1, max_length=256)] = None
    refresh_token: Optional[FirstToken] = None

    @root_validator(skip_on_failure=True)
    def failures_begin_no_session(cls, values):
        if not values["success"] and values["refresh_token"] is not None:
            raise ValueError("a failure begins no session")
        return values


class User(Answer):
    id: UUID
    email: str
    full_name: Optional[str]
    auth_provider: str
    google_id: Optional[str]
    is_active: bool
    email_verified_at: Optional[datetime]
    created_at: datetime
    updated_at: datetime


class RefreshToken(Answer):
    id: UUID
    user_id: UUID
    token_hash: str
    expires_at: datetime
    created_at: datetime
    revoked_at: Optional[datetime]
    user_agent: Optional[str]
    ip_address: Optional[IpAddress]
    session: UUID = Field(alias="sessionId")
    began_at: datetime = Field(alias="signedInAt")
    session_expires_at: Optional[datetime]
    revoked_reason: Optional[str]
    is_valid: bool


class RefreshTokenWithUser(RefreshToken):
    user: User


class LoginAttempt(Answer):
    id: UUID
    user_id: Optional[UUID]
    email: str
    ip_address: IpAddress
    user_agent: Optional[str]
    success: bool
    failure_reason: Optional[str]
    attempted_at: datetime
    pending: bool


class FailureCount(Answer):
    by: LimitBy
    minutes: int
    failures: int
    count: int


class Credentials(Answer):
    user_id: UUID
    email: str
    auth_provider: str
    password_hash: Optional[str]
    google_id: Optional[str]
    is_active: bool
    version: str


class Begun(Answer):
    attempt: LoginAttempt
    counts: List[FailureCount]
    known_source: bool


class BegunWithUser(Begun):
    user: Optional[Credentials]


class Completed(Answer):
    attempt: LoginAttempt
    refresh_token: Optional[RefreshToken]


class Failures(Answer):
    count: int
