"""Statements that are longer than a line, built once: SQLAlchemy takes milliseconds for some."""

from sqlalchemy import (
    JSON,
    Boolean,
    DateTime,
    String,
    bindparam,
    cast,
    func,
    insert,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.dialects.postgresql import UUID as UuidColumn
from sqlalchemy.orm import aliased, contains_eager, joinedload

from models import LoginAttemptRow, RefreshTokenRow, UserRow

# Not named like columns, which SQLAlchemy would then want to set.
given_user_id = bindparam("given_user_id", type_=UuidColumn(as_uuid=True))
given_hash = bindparam("given_hash", type_=String)
given_password_hash = bindparam("given_password_hash", type_=String)
given_session_id = bindparam("given_session_id", type_=UuidColumn(as_uuid=True))
given_reason = bindparam("given_reason", type_=String)
new_hash = bindparam("new_hash", type_=String)
new_expires_at = bindparam("new_expires_at", type_=DateTime(timezone=True))
new_user_agent = bindparam("new_user_agent", type_=String)
new_ip_address = bindparam("new_ip_address", type_=INET)

session_of_token = func.coalesce(RefreshTokenRow.session_id, RefreshTokenRow.id)
is_asked = RefreshTokenRow.token_hash == given_hash
is_unrevoked = RefreshTokenRow.revoked_at.is_(None)
is_unexpired = RefreshTokenRow.expires_at > func.now()
with_user = joinedload(RefreshTokenRow.user, innerjoin=True)


def written(entity, statement):
    """The entities that a statement writes."""
    return (
        select(entity)
        .from_statement(statement.returning(entity))
        .execution_options(synchronize_session=False)
    )


def revocation(*conditions):
    return (
        update(RefreshTokenRow)
        .where(is_unrevoked, *conditions)
        .values(revoked_at=func.now(), revoked_reason=given_reason)
        .execution_options(synchronize_session=False)
    )


update_password = written(
    UserRow,
    update(UserRow).where(UserRow.id == given_user_id).values(password_hash=given_password_hash),
)

revoke_other_sessions = revocation(
    RefreshTokenRow.user_id == given_user_id,
    session_of_token.is_distinct_from(given_session_id),
    is_unexpired,
)

token_by_hash = select(RefreshTokenRow).where(is_asked)
token_by_hash_with_user = token_by_hash.options(with_user)

valid_token = token_by_hash.where(is_unrevoked, is_unexpired)
valid_token_with_user = valid_token.options(with_user)

revoke_token = written(RefreshTokenRow, revocation(is_asked))

owner_of_token = select(RefreshTokenRow.user_id).where(is_asked).scalar_subquery()
lock_owner = select(UserRow.id).where(UserRow.id == owner_of_token).with_for_update()

revoke_session = revocation(
    RefreshTokenRow.user_id == given_user_id, session_of_token == given_session_id, is_unexpired
)


# Shares the user's row, as everything that makes tokens.
create_token = written(
    RefreshTokenRow,
    insert(RefreshTokenRow).from_select(
        ["user_id", "token_hash", "expires_at", "user_agent", "ip_address"],
        select(UserRow.id, new_hash, new_expires_at, new_user_agent, new_ip_address)
        .where(UserRow.id == given_user_id, UserRow.is_active)
        .with_for_update(read=True),
    ),
)

active_owner = (
    select(UserRow.id)
    .where(UserRow.id == RefreshTokenRow.user_id, UserRow.is_active)
    .with_for_update(read=True)
)

spent = (
    update(RefreshTokenRow)
    .where(is_asked, is_unrevoked, is_unexpired, active_owner.exists())
    .values(revoked_at=func.now(), revoked_reason="rotated", successor_id=func.gen_random_uuid())
    .returning(
        RefreshTokenRow.successor_id,
        RefreshTokenRow.user_id,
        RefreshTokenRow.user_agent,
        RefreshTokenRow.ip_address,
        session_of_token.label("session_id"),
        func.coalesce(RefreshTokenRow.signed_in_at, RefreshTokenRow.created_at).label(
            "signed_in_at"
        ),
        RefreshTokenRow.session_expires_at,
    )
    .cte("spent")
    .columns
)

successor = {
    "id": spent.successor_id,
    "user_id": spent.user_id,
    "token_hash": new_hash,
    "expires_at": func.least(new_expires_at, spent.session_expires_at),
    "user_agent": func.coalesce(new_user_agent, spent.user_agent),
    "ip_address": func.coalesce(new_ip_address, spent.ip_address),
    "session_id": spent.session_id,
    "signed_in_at": spent.signed_in_at,
    "session_expires_at": spent.session_expires_at,
}
insert_successor = insert(RefreshTokenRow).from_select(
    list(successor), select(*successor.values())
)

rotate_token = written(RefreshTokenRow, insert_successor)

created = aliased(
    RefreshTokenRow,
    insert_successor.returning(*RefreshTokenRow.__table__.columns).cte("created"),
)
rotate_token_with_user = (
    select(created).join(created.user).options(contains_eager(created.user))
)

# Both counters of an attempt, in the order of their keys, as everybody takes them, until the
# transaction ends: the next statement sees what those have recorded who had them before.
lock_counters = text(
    """
    SELECT pg_advisory_xact_lock(key)
    FROM (
      SELECT hashtextextended(counter, 0) AS key
      FROM unnest(ARRAY[
        'email ' || lower(CAST(:email AS text)), 'ipAddress ' || host(CAST(:ip_address AS inet))
      ]) AS counter
      ORDER BY key
    ) AS counters
    """
)

# Gives no row where a limit is reached. What is pending counts as a failure. The times are those of
# the statement: the transaction may have waited for its locks.
begin_attempt = text(
    """
    WITH counted AS (
      SELECT
        limits.*,
        CASE by
          WHEN 'email' THEN (
            SELECT CAST(count(*) AS int)
            FROM login_attempts
            WHERE
              lower(email) = lower(CAST(:email AS text) COLLATE "C")
              AND NOT success
              AND attempted_at >= statement_timestamp() - make_interval(mins => minutes)
              AND attempted_at > COALESCE(
                (
                  SELECT max(attempted_at)
                  FROM login_attempts
                  WHERE lower(email) = lower(CAST(:email AS text) COLLATE "C") AND success
                ),
                '-infinity'
              )
          )
          ELSE (
            SELECT CAST(count(*) AS int)
            FROM login_attempts
            WHERE
              ip_address = CAST(:ip_address AS inet)
              AND NOT success
              AND attempted_at >= statement_timestamp() - make_interval(mins => minutes)
          )
        END AS count
      FROM json_to_recordset(CAST(:limits AS json)) AS limits (by text, failures int, minutes int)
    ), owner AS (
      SELECT
        id AS user_id,
        email,
        auth_provider,
        password_hash,
        google_id,
        is_active,
        CAST(version AS text) AS version
      FROM users
      WHERE lower(email) = lower(CAST(:email AS text) COLLATE "C")
    ), begun AS (
      INSERT INTO login_attempts (
        user_id, email, ip_address, user_agent, success, pending, attempted_at
      )
      SELECT
        (SELECT user_id FROM owner),
        CAST(:email AS text),
        CAST(:ip_address AS inet),
        CAST(:user_agent AS text),
        false,
        true,
        statement_timestamp()
      WHERE NOT EXISTS (SELECT FROM counted WHERE count >= failures)
      RETURNING *
    )
    SELECT
      begun.*,
      (SELECT COALESCE(json_agg(counted), '[]') FROM counted) AS counts,
      EXISTS (
        SELECT
        FROM login_attempts
        WHERE
          success
          AND lower(email) = lower(CAST(:email AS text) COLLATE "C")
          AND ip_address = CAST(:ip_address AS inet)
      ) AS known_source,
      (SELECT row_to_json(owner) FROM owner) AS owner
    FROM begun
    """
).columns(counts=JSON, owner=JSON)

given_attempt_id = bindparam("given_attempt_id", type_=UuidColumn(as_uuid=True))
given_success = bindparam("given_success", type_=Boolean)
given_version = bindparam("given_version", type_=String)


def completion(success, **values):
    return (
        update(LoginAttemptRow)
        .where(LoginAttemptRow.id == given_attempt_id, LoginAttemptRow.pending)
        .values(
            success=success,
            failure_reason=given_reason,
            pending=False,
            completed_at=func.statement_timestamp(),
            **values,
        )
        .execution_options(synchronize_session=False)
    )


complete_attempt = written(LoginAttemptRow, completion(given_success))

# Shares the user's row, as everything that makes tokens: whoever waits for it, or for the attempt,
# looks again at what they have become.
version_of_user = cast(UserRow.version, String)
owner = (
    select(UserRow.id)
    .where(
        UserRow.id == given_user_id,
        UserRow.is_active,
        version_of_user == func.coalesce(given_version, version_of_user),
    )
    .with_for_update(read=True)
    .cte("owner")
)

completed = aliased(
    LoginAttemptRow,
    completion(true(), refresh_token_id=func.gen_random_uuid())
    .where(LoginAttemptRow.user_id == select(owner.c.id).scalar_subquery())
    .returning(*LoginAttemptRow.__table__.columns)
    .cte("completed"),
)
first_token = aliased(
    RefreshTokenRow,
    insert(RefreshTokenRow)
    .from_select(
        ["id", "user_id", "token_hash", "expires_at", "user_agent", "ip_address"],
        select(
            completed.refresh_token_id,
            completed.user_id,
            new_hash,
            new_expires_at,
            new_user_agent,
            new_ip_address,
        ),
    )
    .returning(*RefreshTokenRow.__table__.columns)
    .cte("first_token"),
)
complete_with_token = select(completed, first_token).join(
    first_token, first_token.id == completed.refresh_token_id
)

attempt_by_id = select(LoginAttemptRow, UserRow).outerjoin(
    UserRow, UserRow.id == LoginAttemptRow.user_id
).where(LoginAttemptRow.id == given_attempt_id)
