-- no-transaction
-- compatible-with: 0004
-- Sessions: what a created token begins and its rotations continue. And what hangs on an account: an
-- inactive user has no live token, whoever deactivates them; an e-mail address may be verified.
--
-- Locks: each ALTER TABLE takes ACCESS EXCLUSIVE on its table, for milliseconds, since the columns are
-- null at first and the constraints NOT VALID. VALIDATE CONSTRAINT reads its table once (some seconds
-- for ten million rows) under SHARE UPDATE EXCLUSIVE, which reads and writes pass; so does building the
-- index. CREATE TRIGGER takes SHARE ROW EXCLUSIVE on users, for milliseconds: writes wait for it.
--
-- No row is rewritten: a token from before is a session of its own, as its null columns say. Only live
-- tokens of users who are inactive already are changed, by one UPDATE that locks nothing but them.
--
-- A replica of the version before that runs beside this one goes on to work. A rotation there begins a
-- new session, and a token that it creates for an inactive user is live: finish such an upgrade soon.

ALTER TABLE refresh_tokens
  -- The id of the session's first token; null in that token itself.
  ADD COLUMN session_id uuid,
  -- When the session began; null in its first token, which was created then.
  ADD COLUMN signed_in_at timestamptz(3),
  -- The session's absolute end; null for none.
  ADD COLUMN session_expires_at timestamptz(3),
  -- Why the token was revoked, where it was not rotated: what was rotated has a successor_id.
  ADD COLUMN revoked_reason text COLLATE "C",
  -- Further successors of the token that this one is the successor of: of rotations in grace.
  ADD COLUMN sibling_ids uuid[];

ALTER TABLE refresh_tokens
  ADD CONSTRAINT refresh_tokens_signed_in_at_check CHECK (
    signed_in_at >= '0001-01-01 00:00:00+00' AND signed_in_at < '10000-01-01 00:00:00+00'
  ) NOT VALID,
  ADD CONSTRAINT refresh_tokens_session_expires_at_check CHECK (
    session_expires_at < '10000-01-01 00:00:00+00' AND expires_at <= session_expires_at
  ) NOT VALID,
  ADD CONSTRAINT refresh_tokens_revoked_reason_check CHECK (
    revoked_reason ~ '^[a-z][a-z0-9-]{0,63}$'
  ) NOT VALID;

ALTER TABLE users ADD COLUMN email_verified_at timestamptz(3);

ALTER TABLE users
  ADD CONSTRAINT users_email_verified_at_check CHECK (
    email_verified_at >= '0001-01-01 00:00:00+00' AND email_verified_at < '10000-01-01 00:00:00+00'
  ) NOT VALID;

-- Live tokens of a user by session. It serves whatever refresh_tokens_live_idx did.
CREATE INDEX CONCURRENTLY refresh_tokens_live_session_idx
  ON refresh_tokens (user_id, COALESCE(session_id, id))
  WHERE revoked_at IS NULL;

DROP INDEX CONCURRENTLY IF EXISTS refresh_tokens_live_idx;

-- FOR UPDATE waits for tokens that are being created or rotated, which share the user's row, and has
-- later ones wait for what becomes of it. Before the update: a plain UPDATE takes less, and who waited
-- for the row as it will be would go on with it as it was. The tokens are a statement of their own with a
-- snapshot of its own, which sees all of them, in the order of ids, as everybody who locks several.
--
-- The empty search_path keeps names that another schema holds from being taken for these.
CREATE FUNCTION users_revoke_tokens() RETURNS trigger
LANGUAGE plpgsql
SET search_path = ''
AS $$
BEGIN
  PERFORM FROM public.users WHERE id = OLD.id FOR UPDATE;
  UPDATE public.refresh_tokens
  SET revoked_at = clock_timestamp(), revoked_reason = 'user-deactivated'
  WHERE id = ANY (ARRAY(
    SELECT id
    FROM public.refresh_tokens
    WHERE user_id = OLD.id AND revoked_at IS NULL AND expires_at > clock_timestamp()
    ORDER BY id
    FOR NO KEY UPDATE
  ));
  RETURN NEW;
END;
$$;

CREATE TRIGGER users_revoke_tokens
BEFORE UPDATE OF is_active ON users
FOR EACH ROW
WHEN (OLD.is_active AND NOT NEW.is_active)
EXECUTE FUNCTION users_revoke_tokens();

UPDATE refresh_tokens
SET revoked_at = clock_timestamp(), revoked_reason = 'user-deactivated'
WHERE
  revoked_at IS NULL
  AND expires_at > clock_timestamp()
  AND user_id IN (SELECT id FROM users WHERE NOT is_active);

ALTER TABLE refresh_tokens
  VALIDATE CONSTRAINT refresh_tokens_signed_in_at_check,
  VALIDATE CONSTRAINT refresh_tokens_session_expires_at_check,
  VALIDATE CONSTRAINT refresh_tokens_revoked_reason_check;
ALTER TABLE users VALIDATE CONSTRAINT users_email_verified_at_check;
