-- What the HTTP routes need beyond the three tables: a rotated token knows its successor, a created
-- row knows the request that created it, and a user has a version.

-- No foreign key: a successor that was cleaned up after it expired must not turn its predecessor
-- from "rotated" into "revoked", or the reuse of a stolen token would go unnoticed.
ALTER TABLE refresh_tokens ADD COLUMN successor_id uuid;

-- SHA-256 of what the creating request sent, only when it carried an Idempotency-Key; the key itself
-- is the row's id.
ALTER TABLE users ADD COLUMN idempotency_fingerprint bytea;
ALTER TABLE refresh_tokens ADD COLUMN idempotency_fingerprint bytea;
ALTER TABLE login_attempts ADD COLUMN idempotency_fingerprint bytea;

-- One sequence for all users, so that an account that is deleted and created again under the same id
-- never repeats a version (an ETag of before would match). The default is set in a second step,
-- because a column added with a volatile default rewrites the table under an exclusive lock.
CREATE SEQUENCE users_version_seq AS bigint;
ALTER TABLE users ADD COLUMN version bigint NOT NULL DEFAULT 0;
ALTER TABLE users ALTER COLUMN version SET DEFAULT nextval('public.users_version_seq');
ALTER SEQUENCE users_version_seq OWNED BY users.version;

-- In the database, so that a change made with psql counts as well.
CREATE FUNCTION users_set_version() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  NEW.version := nextval('public.users_version_seq');
  NEW.updated_at := now();
  RETURN NEW;
END;
$$;

CREATE TRIGGER users_set_version
BEFORE UPDATE ON users
FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION users_set_version();
