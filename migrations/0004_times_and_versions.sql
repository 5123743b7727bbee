-- no-transaction
-- compatible-with: 0003
-- What every writer must keep to, psql included: times that RFC 3339 can write, and versions of a user
-- that never go back.
--
-- Locks: each ADD CONSTRAINT … NOT VALID takes ACCESS EXCLUSIVE on its table, for milliseconds, since it
-- reads no row; one table at a time. VALIDATE CONSTRAINT reads its table once (some seconds for
-- ten million rows) under SHARE UPDATE EXCLUSIVE, which reads and writes pass.
--
-- From the first step on, rows that are written must satisfy the constraints. If a row that was there
-- before does not, VALIDATE fails with the constraint's name and a query for such rows. Only who wrote
-- them knows what they should hold, so no value is replaced here: correct them and migrate again.

-- As refresh_tokens_expires_at_check: what is outside, 'infinity' included, could not be read back.
ALTER TABLE users
  ADD CONSTRAINT users_created_at_check CHECK (
    created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00'
  ) NOT VALID,
  ADD CONSTRAINT users_updated_at_check CHECK (
    updated_at >= '0001-01-01 00:00:00+00' AND updated_at < '10000-01-01 00:00:00+00'
  ) NOT VALID;

ALTER TABLE refresh_tokens
  ADD CONSTRAINT refresh_tokens_created_at_check CHECK (
    created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00'
  ) NOT VALID,
  ADD CONSTRAINT refresh_tokens_revoked_at_check CHECK (
    revoked_at >= '0001-01-01 00:00:00+00' AND revoked_at < '10000-01-01 00:00:00+00'
  ) NOT VALID;

ALTER TABLE login_attempts
  ADD CONSTRAINT login_attempts_attempted_at_check CHECK (
    attempted_at >= '0001-01-01 00:00:00+00' AND attempted_at < '10000-01-01 00:00:00+00'
  ) NOT VALID;

-- A sequence restarts where its position is lost: logical replication copies none, and neither does a
-- restore of single tables. The row's own version is the floor then, so that no ETag is given twice to
-- one row.
--
-- The empty search_path keeps names that another schema holds from being taken for PostgreSQL's.
CREATE OR REPLACE FUNCTION users_set_version() RETURNS trigger
LANGUAGE plpgsql
SET search_path = ''
AS $$
BEGIN
  NEW.version := greatest(nextval('public.users_version_seq'), OLD.version + 1);
  NEW.updated_at := now();
  RETURN NEW;
END;
$$;

ALTER TABLE users
  VALIDATE CONSTRAINT users_created_at_check,
  VALIDATE CONSTRAINT users_updated_at_check;
ALTER TABLE refresh_tokens
  VALIDATE CONSTRAINT refresh_tokens_created_at_check,
  VALIDATE CONSTRAINT refresh_tokens_revoked_at_check;
ALTER TABLE login_attempts VALIDATE CONSTRAINT login_attempts_attempted_at_check;
