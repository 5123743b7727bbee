-- no-transaction
-- compatible-with: 0005
-- Sign-ins that are counted and recorded before the password is looked at: attempts that are begun and
-- completed, failures that are forgiven, and what counts since the last success are served by.
--
-- Locks: each ALTER TABLE takes ACCESS EXCLUSIVE on its table, for milliseconds: the default is a
-- constant, which no row is rewritten for, and the constraints are NOT VALID. VALIDATE CONSTRAINT reads
-- its table once (some seconds for ten million rows) under SHARE UPDATE EXCLUSIVE, which reads and
-- writes pass; so does building the indexes. CREATE OR REPLACE FUNCTION locks no table.

ALTER TABLE login_attempts
  -- Begun and not completed, which counts as a failure.
  ADD COLUMN pending boolean NOT NULL DEFAULT false,
  -- When it was completed; null for what is pending, and for what was recorded whole.
  ADD COLUMN completed_at timestamptz(3),
  -- The refresh token that its completion has created.
  ADD COLUMN refresh_token_id uuid,
  -- SHA-256 of that token's hash: the same completion is known again when the token is gone.
  ADD COLUMN refresh_token_digest bytea;

ALTER TABLE login_attempts
  ADD CONSTRAINT login_attempts_pending_check CHECK (
    NOT pending OR NOT success AND completed_at IS NULL
  ) NOT VALID,
  ADD CONSTRAINT login_attempts_completed_at_check CHECK (
    completed_at >= '0001-01-01 00:00:00+00' AND completed_at < '10000-01-01 00:00:00+00'
  ) NOT VALID;

-- Failures up to then no longer count against the user's e-mail address.
ALTER TABLE users ADD COLUMN failures_forgiven_at timestamptz(3);

ALTER TABLE users
  ADD CONSTRAINT users_failures_forgiven_at_check CHECK (
    failures_forgiven_at >= '0001-01-01 00:00:00+00'
    AND failures_forgiven_at < '10000-01-01 00:00:00+00'
  ) NOT VALID;

-- The last success of an address, before which its failures do not count.
CREATE INDEX CONCURRENTLY login_attempts_success_idx
  ON login_attempts (lower(email), attempted_at)
  WHERE success;

-- The same of an address from one host, and its failures. As one text, which only this index serves: of an
-- index for each PostgreSQL expects as few rows, and an address may have failed from many hosts.
CREATE INDEX CONCURRENTLY login_attempts_email_ip_address_idx
  ON login_attempts ((lower(email) || ' ' || host(ip_address)), success, attempted_at);

-- The counter of a network: /24 of IPv4, /64 of IPv6.
CREATE INDEX CONCURRENTLY login_attempts_ip_prefix_idx
  ON login_attempts (
    network(set_masklen(ip_address, CASE family(ip_address) WHEN 4 THEN 24 ELSE 64 END)),
    attempted_at
  )
  WHERE NOT success;

-- The lock of a counter: of an address, a host, its network (/24 of IPv4, /64 of IPv6), or both.
CREATE FUNCTION login_counter_lock(counted_by text, address text, host inet) RETURNS bigint
LANGUAGE sql
IMMUTABLE
RETURN hashtextextended(
  'latchkey ' || counted_by || ' ' || CASE counted_by
    WHEN 'email' THEN address
    WHEN 'ipAddress' THEN host::text
    WHEN 'ipPrefix' THEN
      network(set_masklen(host, CASE family(host) WHEN 4 THEN 24 ELSE 64 END))::text
    WHEN 'emailAndIpAddress' THEN host::text || ' ' || address
  END,
  0
);

-- How many failures a counter counts, so many of the newest at most, and when the oldest of these was:
-- since a time, and before an attempt if one is given. Of an address they count since its last success
-- and since they were forgiven; of a host always, since an attacker can always succeed with an account
-- of his own. Attempts of one millisecond are told apart by their ids, which are looked up by themselves:
-- for an order by both PostgreSQL 15 may sort all successes.
--
-- Each kind has an index in its order, so that no more is read than is counted.
CREATE FUNCTION login_failures(
  counted_by text,
  address text,
  host inet,
  since timestamptz,
  most integer,
  before_time timestamptz DEFAULT 'infinity',
  before_id uuid DEFAULT 'ffffffff-ffff-ffff-ffff-ffffffffffff',
  OUT failures integer,
  OUT oldest timestamptz
)
LANGUAGE plpgsql
STABLE
SET search_path = ''
AS $$
DECLARE
  success_time timestamptz;
  success_id uuid;
  forgiven timestamptz;
BEGIN
  IF counted_by = 'ipAddress' THEN
    SELECT count(*), min(failure.attempted_at) INTO failures, oldest
    FROM (
      SELECT attempt.attempted_at
      FROM public.login_attempts AS attempt
      WHERE
        NOT attempt.success
        AND attempt.ip_address = host
        AND attempt.attempted_at >= since
        AND (attempt.attempted_at, attempt.id) < (before_time, before_id)
      ORDER BY attempt.attempted_at DESC
      LIMIT most
    ) AS failure;
    RETURN;
  ELSIF counted_by = 'ipPrefix' THEN
    SELECT count(*), min(failure.attempted_at) INTO failures, oldest
    FROM (
      SELECT attempt.attempted_at
      FROM public.login_attempts AS attempt
      WHERE
        NOT attempt.success
        AND network(
            set_masklen(attempt.ip_address, CASE family(attempt.ip_address) WHEN 4 THEN 24 ELSE 64 END)
          ) = network(set_masklen(host, CASE family(host) WHEN 4 THEN 24 ELSE 64 END))
        AND attempt.attempted_at >= since
        AND (attempt.attempted_at, attempt.id) < (before_time, before_id)
      ORDER BY attempt.attempted_at DESC
      LIMIT most
    ) AS failure;
    RETURN;
  END IF;

  SELECT failures_forgiven_at INTO forgiven FROM public.users WHERE lower(users.email) = address;

  IF counted_by = 'email' THEN
    SELECT attempt.attempted_at INTO success_time
    FROM public.login_attempts AS attempt
    WHERE
      attempt.success
      AND lower(attempt.email) = address
      AND (attempt.attempted_at, attempt.id) < (before_time, before_id)
    ORDER BY attempt.attempted_at DESC
    LIMIT 1;
    SELECT attempt.id INTO success_id
    FROM public.login_attempts AS attempt
    WHERE
      attempt.success
      AND lower(attempt.email) = address
      AND attempt.attempted_at = success_time
      AND (attempt.attempted_at, attempt.id) < (before_time, before_id)
    ORDER BY attempt.id DESC
    LIMIT 1;

    SELECT count(*), min(failure.attempted_at) INTO failures, oldest
    FROM (
      SELECT attempt.attempted_at
      FROM public.login_attempts AS attempt
      WHERE
        NOT attempt.success
        AND lower(attempt.email) = address
        AND attempt.attempted_at >= greatest(since, success_time)
        AND attempt.attempted_at > COALESCE(forgiven, '-infinity')
        AND (success_id IS NULL OR (attempt.attempted_at, attempt.id) > (success_time, success_id))
        AND (attempt.attempted_at, attempt.id) < (before_time, before_id)
      ORDER BY attempt.attempted_at DESC
      LIMIT most
    ) AS failure;
  ELSE
    SELECT attempt.attempted_at INTO success_time
    FROM public.login_attempts AS attempt
    WHERE
      attempt.success
      AND lower(attempt.email) || ' ' || host(attempt.ip_address) = address || ' ' || host(host)
      AND (attempt.attempted_at, attempt.id) < (before_time, before_id)
    ORDER BY attempt.attempted_at DESC
    LIMIT 1;
    SELECT attempt.id INTO success_id
    FROM public.login_attempts AS attempt
    WHERE
      attempt.success
      AND lower(attempt.email) || ' ' || host(attempt.ip_address) = address || ' ' || host(host)
      AND attempt.attempted_at = success_time
      AND (attempt.attempted_at, attempt.id) < (before_time, before_id)
    ORDER BY attempt.id DESC
    LIMIT 1;

    SELECT count(*), min(failure.attempted_at) INTO failures, oldest
    FROM (
      SELECT attempt.attempted_at
      FROM public.login_attempts AS attempt
      WHERE
        NOT attempt.success
        AND lower(attempt.email) || ' ' || host(attempt.ip_address) = address || ' ' || host(host)
        AND attempt.attempted_at >= greatest(since, success_time)
        AND attempt.attempted_at > COALESCE(forgiven, '-infinity')
        AND (success_id IS NULL OR (attempt.attempted_at, attempt.id) > (success_time, success_id))
        AND (attempt.attempted_at, attempt.id) < (before_time, before_id)
      ORDER BY attempt.attempted_at DESC
      LIMIT most
    ) AS failure;
  END IF;
END;
$$;

-- Begins attempts in their order, each with as many limits as it has. A function, because what is
-- counted has to be read after the counters are locked, by a statement with a snapshot of its own: in a
-- transaction of several statements that is five ways to the server and back instead of one, while the
-- counters are locked.
--
-- Locks: of each attempt with limits the four counters that it is a failure of, in the order of their
-- keys; for itself alone those that it counts, and shared with others that count them as little those
-- that it only adds to. So of two attempts one of which counts the other, one waits; others do not. Then
-- users that have the addresses, one after the other, FOR KEY SHARE. With `waits` false it waits for no
-- counter, and leaves out the attempts, as contended, one of whose counters somebody else holds.
--
-- What several attempts count is read once, and counted on from there.
--
-- `outcome` is begun, with `counts` of the failures before by limit; refused, with those of the limits
-- that were reached (a thousand failures beyond a limit are counted and no more); contended; or exists,
-- where another attempt has the id.
CREATE FUNCTION begin_login_attempts(given json, waits boolean)
RETURNS TABLE (
  place bigint,
  outcome text,
  attempt public.login_attempts,
  owner public.users,
  known_source boolean,
  counts jsonb
)
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
  held bigint[] := '{}';
  counter record;
  is_held boolean;
  item record;
  wanted record;
  began timestamptz(3);
  reached jsonb;
  -- What was counted: the lock of each counter, the limit, the failures, and the oldest one that counts
  -- towards the limit, where that was asked for.
  counted_locks bigint[] := '{}';
  counted_limits jsonb[] := '{}';
  counted_failures integer[] := '{}';
  counted_oldest timestamptz[] := '{}';
  entry integer;
  found_entry integer;
BEGIN
  -- With one snapshot for all statements, nobody would be seen who was waited for.
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'begin_login_attempts needs the isolation level READ COMMITTED'
      USING ERRCODE = 'invalid_transaction_state';
  END IF;

  FOR counter IN
    SELECT lock_key, bool_or(is_counted) AS is_counted
    FROM
      json_to_recordset(given) AS input (email text, "ipAddress" inet, limits json),
      unnest('{email,ipAddress,ipPrefix,emailAndIpAddress}'::text[]) AS kind,
      public.login_counter_lock(kind, lower(input.email COLLATE "C"), input."ipAddress")
        AS lock_key,
      LATERAL (
        SELECT bool_or(limit_of.by = kind) AS is_counted
        FROM json_to_recordset(input.limits) AS limit_of (by text)
      ) AS limited
    WHERE limited.is_counted IS NOT NULL
    GROUP BY lock_key
    ORDER BY lock_key
  LOOP
    is_held := true;
    IF waits AND counter.is_counted THEN
      PERFORM pg_advisory_xact_lock(counter.lock_key);
    ELSIF waits THEN
      PERFORM pg_advisory_xact_lock_shared(counter.lock_key);
    ELSIF counter.is_counted THEN
      is_held := pg_try_advisory_xact_lock(counter.lock_key);
    ELSE
      is_held := pg_try_advisory_xact_lock_shared(counter.lock_key);
    END IF;
    IF is_held THEN
      held := held || counter.lock_key;
    END IF;
  END LOOP;
  began := clock_timestamp();

  FOR item IN
    SELECT
      input.ordinality,
      input.id,
      input.email,
      lower(input.email COLLATE "C") AS address,
      input.host,
      input.user_agent,
      input.fingerprint,
      input.limits,
      ARRAY(
        SELECT public.login_counter_lock(kind, lower(input.email COLLATE "C"), input.host)
        FROM unnest('{email,ipAddress,ipPrefix,emailAndIpAddress}'::text[]) AS kind
      ) AS locks
    FROM
      ROWS FROM (
        json_to_recordset(given) AS (
          id uuid, email text, "ipAddress" inet, "userAgent" text, fingerprint text, limits json
        )
      ) WITH ORDINALITY AS input (id, email, host, user_agent, fingerprint, limits, ordinality)
  LOOP
    place := item.ordinality;
    attempt := NULL;
    owner := NULL;
    known_source := NULL;
    counts := '[]';
    reached := '[]';

    -- A repetition of a request with a key is answered as then, whatever the limits say now.
    IF item.fingerprint IS NOT NULL
      AND EXISTS (SELECT FROM public.login_attempts AS same WHERE same.id = item.id)
    THEN
      outcome := 'exists';
      RETURN NEXT;
      CONTINUE;
    END IF;

    IF json_array_length(item.limits) > 0 AND NOT item.locks <@ held THEN
      outcome := 'contended';
      counts := NULL;
      RETURN NEXT;
      CONTINUE;
    END IF;

    FOR wanted IN
      SELECT
        limit_of.by AS kind,
        limit_of.failures,
        limit_of.minutes,
        jsonb_build_array(limit_of.failures, limit_of.minutes) AS terms,
        public.login_counter_lock(limit_of.by, item.address, item.host) AS lock_key
      FROM json_to_recordset(item.limits) AS limit_of (by text, failures integer, minutes integer)
    LOOP
      found_entry := NULL;
      FOREACH entry IN ARRAY array_positions(counted_locks, wanted.lock_key) LOOP
        IF counted_limits[entry] = wanted.terms THEN
          found_entry := entry;
        END IF;
      END LOOP;
      IF found_entry IS NULL THEN
        found_entry := cardinality(counted_locks) + 1;
        counted_locks[found_entry] := wanted.lock_key;
        counted_limits[found_entry] := wanted.terms;
        counted_failures[found_entry] := (
          SELECT failures
          FROM public.login_failures(
            wanted.kind,
            item.address,
            item.host,
            began - make_interval(mins => wanted.minutes),
            wanted.failures + 1000
          )
        );
        counted_oldest[found_entry] := NULL;
      END IF;
      counts := counts || jsonb_build_object(
        'by', wanted.kind,
        'minutes', wanted.minutes,
        'failures', wanted.failures,
        'count', counted_failures[found_entry]
      );
      IF counted_failures[found_entry] >= wanted.failures THEN
        IF counted_oldest[found_entry] IS NULL THEN
          counted_oldest[found_entry] := (
            SELECT oldest
            FROM public.login_failures(
              wanted.kind,
              item.address,
              item.host,
              began - make_interval(mins => wanted.minutes),
              wanted.failures
            )
          );
        END IF;
        -- When that has left the window, one fewer than the limit is left.
        reached := reached || jsonb_build_object(
          'by', wanted.kind,
          'failures', wanted.failures,
          'count', counted_failures[found_entry],
          'retryAfter', greatest(
            1,
            ceil(extract(
              epoch FROM counted_oldest[found_entry] + make_interval(mins => wanted.minutes) - began
            ))
          )
        );
      END IF;
    END LOOP;

    IF reached <> '[]' THEN
      outcome := 'refused';
      counts := reached;
      RETURN NEXT;
      CONTINUE;
    END IF;

    SELECT * INTO owner FROM public.users WHERE lower(users.email) = item.address FOR KEY SHARE;
    known_source := EXISTS (
      SELECT
      FROM public.login_attempts AS earlier
      WHERE
        earlier.success
        AND lower(earlier.email) || ' ' || host(earlier.ip_address)
          = item.address || ' ' || host(item.host)
    );
    INSERT INTO public.login_attempts AS begun (
      id, user_id, email, ip_address, user_agent,
      success, pending, attempted_at, idempotency_fingerprint
    ) VALUES (
      item.id, owner.id, item.email, item.host, item.user_agent,
      false, true, began, decode(item.fingerprint, 'hex')
    )
    ON CONFLICT (id) DO NOTHING
    RETURNING * INTO attempt;
    IF attempt.id IS NULL THEN
      outcome := 'exists';
      RETURN NEXT;
      CONTINUE;
    END IF;

    -- From now on it is a failure of each of its counters.
    FOR found_entry IN
      SELECT unnest(array_positions(counted_locks, lock_key))
      FROM unnest(item.locks) AS lock_key
    LOOP
      counted_failures[found_entry] := counted_failures[found_entry] + 1;
      counted_oldest[found_entry] := NULL;
    END LOOP;
    outcome := 'begun';
    RETURN NEXT;
  END LOOP;
END;
$$;

-- That failures were forgiven is no part of what a version stands for: a sign-in under way, which has
-- read the user before, may go on.
--
-- The empty search_path keeps names that another schema holds from being taken for PostgreSQL's.
CREATE OR REPLACE FUNCTION users_set_version() RETURNS trigger
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
  compared public.users := NEW;
BEGIN
  compared.failures_forgiven_at := OLD.failures_forgiven_at;
  IF compared IS NOT DISTINCT FROM OLD THEN
    RETURN NEW;
  END IF;
  NEW.version := greatest(nextval('public.users_version_seq'), OLD.version + 1);
  NEW.updated_at := now();
  RETURN NEW;
END;
$$;

ALTER TABLE login_attempts
  VALIDATE CONSTRAINT login_attempts_pending_check,
  VALIDATE CONSTRAINT login_attempts_completed_at_check;
ALTER TABLE users VALIDATE CONSTRAINT users_failures_forgiven_at_check;
