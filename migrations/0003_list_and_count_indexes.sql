-- no-transaction
-- Built beside running traffic: CREATE INDEX CONCURRENTLY refuses to run in a transaction.

-- GET /v1/users in its order.
CREATE INDEX CONCURRENTLY users_created_at_idx ON users (created_at, id);

-- A user's live tokens, however many dead ones there are.
CREATE INDEX CONCURRENTLY refresh_tokens_live_idx ON refresh_tokens (user_id, expires_at)
WHERE revoked_at IS NULL;

-- The counter of one address; only failures are ever counted.
CREATE INDEX CONCURRENTLY login_attempts_ip_address_idx ON login_attempts (ip_address, attempted_at)
WHERE NOT success;
