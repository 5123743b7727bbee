-- Users, their refresh tokens, and the attempts to sign in.
--
-- Times are timestamptz(3): JavaScript and JSON clients keep milliseconds, and a value that is read
-- back must be the value that was stored.
--
-- E-mail columns use the "C" collation and hold ASCII only, so that lower() and the ranges in the
-- checks below mean the same in every locale, for every writer.

CREATE TYPE auth_provider_enum AS ENUM ('email', 'google');

CREATE TABLE users (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  email text COLLATE "C" NOT NULL,
  full_name text,
  password_hash text,
  auth_provider auth_provider_enum NOT NULL,
  google_id text COLLATE "C",
  is_active boolean NOT NULL DEFAULT true,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  updated_at timestamptz(3) NOT NULL DEFAULT now(),
  CONSTRAINT users_pkey PRIMARY KEY (id),
  -- What an HTML e-mail field takes (https://html.spec.whatwg.org/#valid-e-mail-address), at most as
  -- long as SMTP can route (RFC 5321, 4.5.3.1.3).
  CONSTRAINT users_email_check CHECK (
    length(email) <= 254
    AND email ~ '^[a-zA-Z0-9.!#$%&''*+/=?^_`{|}~-]+@[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$'
  ),
  CONSTRAINT users_auth_provider_check CHECK (
    (auth_provider = 'email' AND password_hash IS NOT NULL)
    OR (auth_provider = 'google' AND google_id IS NOT NULL)
  )
);

-- Ada@example.com and ada@example.com are one account. Made before the index on google_id, because
-- PostgreSQL checks unique indexes in the order of their creation.
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
CREATE UNIQUE INDEX users_google_id_key ON users (google_id);

CREATE TABLE refresh_tokens (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL,
  token_hash text COLLATE "C" NOT NULL,
  expires_at timestamptz(3) NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  revoked_at timestamptz(3),
  user_agent text,
  ip_address inet,
  CONSTRAINT refresh_tokens_pkey PRIMARY KEY (id),
  CONSTRAINT refresh_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  -- The years that RFC 3339 can write; 'infinity' is not one of them.
  CONSTRAINT refresh_tokens_expires_at_check CHECK (
    expires_at >= '0001-01-01 00:00:00+00' AND expires_at < '10000-01-01 00:00:00+00'
  )
);

CREATE UNIQUE INDEX refresh_tokens_token_hash_key ON refresh_tokens (token_hash);
-- Serves the cascade from users and the list of a user's tokens in its order.
CREATE INDEX refresh_tokens_user_id_idx ON refresh_tokens (user_id, created_at, id);
CREATE INDEX refresh_tokens_expires_at_idx ON refresh_tokens (expires_at);

CREATE TABLE login_attempts (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  user_id uuid,
  email text COLLATE "C" NOT NULL,
  ip_address inet NOT NULL,
  user_agent text,
  success boolean NOT NULL,
  failure_reason text,
  attempted_at timestamptz(3) NOT NULL DEFAULT now(),
  CONSTRAINT login_attempts_pkey PRIMARY KEY (id),
  -- The history of an address outlives the account.
  CONSTRAINT login_attempts_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL,
  CONSTRAINT login_attempts_email_check CHECK (
    length(email) <= 254
    AND email ~ '^[a-zA-Z0-9.!#$%&''*+/=?^_`{|}~-]+@[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$'
  )
);

-- The counters ask for the newest attempts of one user, or of one address.
CREATE INDEX login_attempts_user_id_idx ON login_attempts (user_id, attempted_at);
CREATE INDEX login_attempts_email_idx ON login_attempts (lower(email), attempted_at);
CREATE INDEX login_attempts_attempted_at_idx ON login_attempts (attempted_at);
