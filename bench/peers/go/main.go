// The routes of the benchmark with net/http and pgx, which prepares each statement once.
package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

type server struct {
	pool          *pgxpool.Pool
	authorization []byte
}

// instant is written as JavaScript does, with milliseconds.
type instant time.Time

func (at instant) MarshalJSON() ([]byte, error) {
	return time.Time(at).UTC().AppendFormat(nil, `"2006-01-02T15:04:05.000Z"`), nil
}

type user struct {
	ID              string   `json:"id"`
	Email           string   `json:"email"`
	FullName        *string  `json:"fullName"`
	AuthProvider    string   `json:"authProvider"`
	GoogleID        *string  `json:"googleId"`
	IsActive        bool     `json:"isActive"`
	EmailVerifiedAt *instant `json:"emailVerifiedAt"`
	CreatedAt       instant  `json:"createdAt"`
	UpdatedAt       instant  `json:"updatedAt"`
}

type token struct {
	ID               string   `json:"id"`
	UserID           string   `json:"userId"`
	TokenHash        string   `json:"tokenHash"`
	ExpiresAt        instant  `json:"expiresAt"`
	CreatedAt        instant  `json:"createdAt"`
	RevokedAt        *instant `json:"revokedAt"`
	UserAgent        *string  `json:"userAgent"`
	IPAddress        *string  `json:"ipAddress"`
	SessionID        string   `json:"sessionId"`
	SignedInAt       instant  `json:"signedInAt"`
	SessionExpiresAt *instant `json:"sessionExpiresAt"`
	RevokedReason    *string  `json:"revokedReason"`
	IsValid          bool     `json:"isValid"`
	User             *user    `json:"user,omitempty"`
}

type attempt struct {
	ID            string  `json:"id"`
	UserID        *string `json:"userId"`
	Email         string  `json:"email"`
	IPAddress     string  `json:"ipAddress"`
	UserAgent     *string `json:"userAgent"`
	Success       bool    `json:"success"`
	FailureReason *string `json:"failureReason"`
	AttemptedAt   instant `json:"attemptedAt"`
	Pending       bool    `json:"pending"`
}

// begun is an attempt that has begun; what PostgreSQL gives as JSON passes through.
type begun struct {
	Attempt     attempt         `json:"attempt"`
	Counts      json.RawMessage `json:"counts"`
	KnownSource bool            `json:"knownSource"`
	User        json.RawMessage `json:"user,omitempty"`
}

type completed struct {
	Attempt      attempt `json:"attempt"`
	RefreshToken *token  `json:"refreshToken"`
}

type newUser struct {
	Email        string  `json:"email"`
	AuthProvider string  `json:"authProvider"`
	PasswordHash *string `json:"passwordHash"`
	GoogleID     *string `json:"googleId"`
	FullName     *string `json:"fullName"`
	IsActive     *bool   `json:"isActive"`
}

type successor struct {
	TokenHash string    `json:"tokenHash"`
	ExpiresAt time.Time `json:"expiresAt"`
	UserAgent *string   `json:"userAgent"`
	IPAddress *string   `json:"ipAddress"`
}

type newToken struct {
	UserID string `json:"userId"`
	successor
}

type userChanges struct {
	PasswordHash   string `json:"passwordHash"`
	RevokeSessions *struct {
		Reason          *string `json:"reason"`
		ExceptSessionID *string `json:"exceptSessionId"`
	} `json:"revokeSessions"`
}

type newAttempt struct {
	UserID        *string `json:"userId"`
	Email         string  `json:"email"`
	IPAddress     string  `json:"ipAddress"`
	UserAgent     *string `json:"userAgent"`
	Success       *bool   `json:"success"`
	FailureReason *string `json:"failureReason"`
}

type attemptToBegin struct {
	Email     string  `json:"email"`
	IPAddress string  `json:"ipAddress"`
	UserAgent *string `json:"userAgent"`
	Limits    []limit `json:"limits"`
}

type limit struct {
	By       string `json:"by"`
	Failures int    `json:"failures"`
	Minutes  int    `json:"minutes"`
}

type completion struct {
	Success       *bool       `json:"success"`
	FailureReason *string     `json:"failureReason"`
	RefreshToken  *firstToken `json:"refreshToken"`
}

type firstToken struct {
	newToken
	UserVersion *string `json:"userVersion"`
}

var (
	reasonPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

	uuidPattern  = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	emailPattern = regexp.MustCompile(`^[^@\s]+@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*$`)
)

func isEmail(email string) bool { return len(email) <= 254 && emailPattern.MatchString(email) }

func isText(text string, maximum int) bool { return text != "" && len(text) <= 4*maximum }

func isOptionalText(text *string, maximum int) bool { return text == nil || isText(*text, maximum) }

func isOptionalAddress(address *string) bool { return address == nil || net.ParseIP(*address) != nil }

func (new successor) valid() bool {
	return isText(new.TokenHash, 512) && !new.ExpiresAt.IsZero() &&
		isOptionalText(new.UserAgent, 1024) && isOptionalAddress(new.IPAddress)
}

func (l limit) valid() bool {
	return (l.By == "email" || l.By == "ipAddress") && l.Failures >= 1 && l.Failures <= 10_000 &&
		l.Minutes >= 1 && l.Minutes <= 43_200
}

func (new attemptToBegin) valid() bool {
	for _, each := range new.Limits {
		if !each.valid() {
			return false
		}
	}
	return isEmail(new.Email) && net.ParseIP(new.IPAddress) != nil &&
		isOptionalText(new.UserAgent, 1024) && len(new.Limits) <= 8
}

func (new completion) valid() bool {
	token := new.RefreshToken
	return new.Success != nil && isOptionalText(new.FailureReason, 256) &&
		(token == nil || *new.Success && uuidPattern.MatchString(token.UserID) && token.valid() &&
			isOptionalText(token.UserVersion, 64))
}

const userColumns = `users.id::text, email, full_name, auth_provider::text, google_id, is_active,
  email_verified_at, users.created_at, users.updated_at`

const tokenColumns = `refresh_tokens.id::text, user_id::text, token_hash, expires_at,
  refresh_tokens.created_at, revoked_at, user_agent, host(ip_address),
  COALESCE(session_id, refresh_tokens.id)::text, COALESCE(signed_in_at, refresh_tokens.created_at),
  session_expires_at, revoked_reason, revoked_at IS NULL AND expires_at > now()`

const attemptColumns = `id::text, user_id::text, email, host(ip_address), user_agent, success,
  failure_reason, attempted_at, pending`

func (u *user) columns(verifiedAt **time.Time) []any {
	return []any{&u.ID, &u.Email, &u.FullName, &u.AuthProvider, &u.GoogleID, &u.IsActive,
		verifiedAt, (*time.Time)(&u.CreatedAt), (*time.Time)(&u.UpdatedAt)}
}

func (t *token) columns(revokedAt, sessionExpiresAt **time.Time) []any {
	return []any{&t.ID, &t.UserID, &t.TokenHash, (*time.Time)(&t.ExpiresAt),
		(*time.Time)(&t.CreatedAt), revokedAt, &t.UserAgent, &t.IPAddress, &t.SessionID,
		(*time.Time)(&t.SignedInAt), sessionExpiresAt, &t.RevokedReason, &t.IsValid}
}

func scanUser(row pgx.Row) (u user, err error) {
	var verifiedAt *time.Time
	err = row.Scan(u.columns(&verifiedAt)...)
	u.EmailVerifiedAt = (*instant)(verifiedAt)
	return
}

func scanToken(row pgx.Row) (t token, err error) {
	var revokedAt, sessionExpiresAt *time.Time
	err = row.Scan(t.columns(&revokedAt, &sessionExpiresAt)...)
	t.RevokedAt, t.SessionExpiresAt = (*instant)(revokedAt), (*instant)(sessionExpiresAt)
	return
}

func scanTokenWithUser(row pgx.Row) (t token, err error) {
	var revokedAt, sessionExpiresAt, verifiedAt *time.Time
	t.User = new(user)
	err = row.Scan(append(t.columns(&revokedAt, &sessionExpiresAt),
		t.User.columns(&verifiedAt)...)...)
	t.RevokedAt, t.SessionExpiresAt = (*instant)(revokedAt), (*instant)(sessionExpiresAt)
	t.User.EmailVerifiedAt = (*instant)(verifiedAt)
	return
}

func (a *attempt) columns() []any {
	return []any{&a.ID, &a.UserID, &a.Email, &a.IPAddress, &a.UserAgent, &a.Success,
		&a.FailureReason, (*time.Time)(&a.AttemptedAt), &a.Pending}
}

func scanAttempt(row pgx.Row) (a attempt, err error) {
	err = row.Scan(a.columns()...)
	return
}

func scanBegun(row pgx.Row) (b begun, err error) {
	err = row.Scan(append(b.Attempt.columns(), (*[]byte)(&b.Counts), &b.KnownSource,
		(*[]byte)(&b.User))...)
	return
}

func scanCompleted(row pgx.Row) (c completed, err error) {
	var revokedAt, sessionExpiresAt *time.Time
	t := new(token)
	err = row.Scan(append(c.Attempt.columns(), t.columns(&revokedAt, &sessionExpiresAt)...)...)
	t.RevokedAt, t.SessionExpiresAt = (*instant)(revokedAt), (*instant)(sessionExpiresAt)
	c.RefreshToken = t
	return
}

func respond(w http.ResponseWriter, status int, value any) {
	body, _ := json.Marshal(value)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

func problem(w http.ResponseWriter, status int, name string) {
	body, _ := json.Marshal(map[string]any{
		"type": "https://latchkey.dev/problems/" + name, "title": name, "status": status,
	})
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	w.Write(body)
}

func invalid(w http.ResponseWriter) { problem(w, http.StatusBadRequest, "invalid-request") }

type violation struct {
	status int
	name   string
}

var violations = map[string]violation{
	"users_email_key":               {http.StatusConflict, "email-taken"},
	"users_google_id_key":           {http.StatusConflict, "google-id-taken"},
	"users_auth_provider_check":     {http.StatusUnprocessableEntity, "credentials-missing"},
	"refresh_tokens_token_hash_key": {http.StatusConflict, "token-hash-taken"},
	"refresh_tokens_user_id_fkey":   {http.StatusUnprocessableEntity, "user-not-found"},
	"login_attempts_user_id_fkey":   {http.StatusUnprocessableEntity, "user-not-found"},
}

// finish answers with the row that a statement gave, or with what went wrong.
func finish(w http.ResponseWriter, status int, row any, err error, missing string) {
	var refused *pgconn.PgError
	switch {
	case err == nil:
		respond(w, status, row)
	case errors.Is(err, pgx.ErrNoRows):
		problem(w, http.StatusNotFound, missing)
	case errors.As(err, &refused) && violations[refused.ConstraintName].status != 0:
		v := violations[refused.ConstraintName]
		problem(w, v.status, v.name)
	default:
		problem(w, http.StatusInternalServerError, "internal-error")
	}
}

func decode(r *http.Request, into any) bool {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	return decoder.Decode(into) == nil
}

func (s *server) userByID(w http.ResponseWriter, r *http.Request, id string) {
	if !uuidPattern.MatchString(id) {
		invalid(w)
		return
	}
	row, err := scanUser(s.pool.QueryRow(r.Context(),
		`SELECT `+userColumns+` FROM users WHERE id = $1`, id))
	finish(w, http.StatusOK, row, err, "user-not-found")
}

func (s *server) userByEmail(w http.ResponseWriter, r *http.Request, email string) {
	if !isEmail(email) {
		invalid(w)
		return
	}
	row, err := scanUser(s.pool.QueryRow(r.Context(),
		`SELECT `+userColumns+` FROM users WHERE lower(email) = lower($1 COLLATE "C")`, email))
	finish(w, http.StatusOK, row, err, "user-not-found")
}

func (s *server) createUser(w http.ResponseWriter, r *http.Request) {
	var new newUser
	if !decode(r, &new) || !isEmail(new.Email) ||
		(new.AuthProvider != "email" && new.AuthProvider != "google") ||
		!isOptionalText(new.PasswordHash, 1024) || !isOptionalText(new.GoogleID, 255) ||
		!isOptionalText(new.FullName, 200) {
		invalid(w)
		return
	}
	active := new.IsActive == nil || *new.IsActive
	row, err := scanUser(s.pool.QueryRow(r.Context(), `
		INSERT INTO users (email, full_name, password_hash, auth_provider, google_id, is_active)
		VALUES ($1, $2, $3, $4, $5, $6)
		RETURNING `+userColumns,
		new.Email, new.FullName, new.PasswordHash, new.AuthProvider, new.GoogleID, active))
	finish(w, http.StatusCreated, row, err, "")
}

const updatePassword = `UPDATE users SET password_hash = $2 WHERE id = $1 RETURNING ` + userColumns

const revokeOtherSessions = `
	UPDATE refresh_tokens
	SET revoked_at = now(), revoked_reason = $3
	WHERE
		user_id = $1
		AND COALESCE(session_id, id) IS DISTINCT FROM $2
		AND revoked_at IS NULL
		AND expires_at > now()`

func (s *server) updateUser(w http.ResponseWriter, r *http.Request, id string) {
	var changes userChanges
	if !uuidPattern.MatchString(id) || !decode(r, &changes) || !isText(changes.PasswordHash, 1024) {
		invalid(w)
		return
	}
	sessions := changes.RevokeSessions
	if sessions == nil {
		row, err := scanUser(s.pool.QueryRow(r.Context(), updatePassword, id, changes.PasswordHash))
		finish(w, http.StatusOK, row, err, "user-not-found")
		return
	}
	reason := "credentials-changed"
	if sessions.Reason != nil {
		reason = *sessions.Reason
	}
	if !reasonPattern.MatchString(reason) ||
		(sessions.ExceptSessionID != nil && !uuidPattern.MatchString(*sessions.ExceptSessionID)) {
		invalid(w)
		return
	}
	// A batch is a transaction. Whoever makes tokens shares the user's row, which the update takes:
	// none can be added any more when the next statement looks for them, and all that were are seen.
	batch := &pgx.Batch{}
	batch.Queue(updatePassword, id, changes.PasswordHash)
	batch.Queue(revokeOtherSessions, id, sessions.ExceptSessionID, reason)
	results := s.pool.SendBatch(r.Context(), batch)
	row, err := scanUser(results.QueryRow())
	// It is committed when it is closed.
	if closed := results.Close(); err == nil {
		err = closed
	}
	finish(w, http.StatusOK, row, err, "user-not-found")
}

func (s *server) recentFailures(w http.ResponseWriter, r *http.Request, id string) {
	minutes := 15
	if given := r.URL.Query().Get("minutes"); given != "" {
		var err error
		if minutes, err = strconv.Atoi(given); err != nil {
			minutes = 0
		}
	}
	if !uuidPattern.MatchString(id) || minutes < 1 || minutes > 43200 {
		invalid(w)
		return
	}
	var failures struct {
		Count int `json:"count"`
	}
	err := s.pool.QueryRow(r.Context(), `
		SELECT (
			SELECT count(*)::int
			FROM login_attempts
			WHERE
				user_id = users.id
				AND NOT success
				AND attempted_at >= now() - make_interval(mins => $2::int)
		)
		FROM users
		WHERE id = $1`, id, minutes).Scan(&failures.Count)
	finish(w, http.StatusOK, failures, err, "user-not-found")
}

func (s *server) createAttempt(w http.ResponseWriter, r *http.Request) {
	var new newAttempt
	if !decode(r, &new) || !isEmail(new.Email) || net.ParseIP(new.IPAddress) == nil ||
		new.Success == nil || (new.UserID != nil && !uuidPattern.MatchString(*new.UserID)) ||
		!isOptionalText(new.UserAgent, 1024) || !isOptionalText(new.FailureReason, 256) {
		invalid(w)
		return
	}
	row, err := scanAttempt(s.pool.QueryRow(r.Context(), `
		INSERT INTO login_attempts (
			user_id, email, ip_address, user_agent, success, failure_reason
		)
		VALUES ($1, $2, $3, $4, $5, $6)
		RETURNING `+attemptColumns,
		new.UserID, new.Email, new.IPAddress, new.UserAgent, *new.Success, new.FailureReason))
	finish(w, http.StatusCreated, row, err, "")
}

// Both counters of an attempt, in the order of their keys, as everybody takes them, until the
// transaction ends: the next statement sees what those have recorded who had them before.
const lockCounters = `
	SELECT pg_advisory_xact_lock(key)
	FROM (
		SELECT hashtextextended(counter, 0) AS key
		FROM unnest(ARRAY['email ' || lower($1::text), 'ipAddress ' || host($2::inet)]) AS counter
		ORDER BY key
	) AS counters`

// Gives no row where a limit is reached. What is pending counts as a failure. The times are those of
// the statement: the transaction may have waited for its locks.
const beginAttempt = `
	WITH counted AS (
		SELECT
			limits.*,
			CASE by
				WHEN 'email' THEN (
					SELECT count(*)::int
					FROM login_attempts
					WHERE
						lower(email) = lower($1 COLLATE "C")
						AND NOT success
						AND attempted_at >= statement_timestamp() - make_interval(mins => minutes)
						AND attempted_at > COALESCE(
							(
								SELECT max(attempted_at)
								FROM login_attempts
								WHERE lower(email) = lower($1 COLLATE "C") AND success
							),
							'-infinity'
						)
				)
				ELSE (
					SELECT count(*)::int
					FROM login_attempts
					WHERE
						ip_address = $2::inet
						AND NOT success
						AND attempted_at >= statement_timestamp() - make_interval(mins => minutes)
				)
			END AS count
		FROM json_to_recordset($4::json) AS limits (by text, failures int, minutes int)
	), owner AS (
		SELECT id AS "userId", email, auth_provider AS "authProvider",
			password_hash AS "passwordHash", google_id AS "googleId", is_active AS "isActive",
			version::text AS version
		FROM users
		WHERE lower(email) = lower($1 COLLATE "C")
	), begun AS (
		INSERT INTO login_attempts (
			user_id, email, ip_address, user_agent, success, pending, attempted_at
		)
		SELECT (SELECT "userId" FROM owner), $1, $2, $3, false, true, statement_timestamp()
		WHERE NOT EXISTS (SELECT FROM counted WHERE count >= failures)
		RETURNING *
	)
	SELECT
		` + attemptColumns + `,
		(SELECT COALESCE(json_agg(counted), '[]') FROM counted),
		EXISTS (
			SELECT
			FROM login_attempts
			WHERE success AND lower(email) = lower($1 COLLATE "C") AND ip_address = $2
		),
		COALESCE((SELECT row_to_json(owner) FROM owner), 'null')
	FROM begun`

func (s *server) beginAttempt(w http.ResponseWriter, r *http.Request) {
	var new attemptToBegin
	withUser, ok := included(r, "credentials")
	if !ok || !decode(r, &new) || !new.valid() {
		invalid(w)
		return
	}
	limits := []byte("[]")
	if new.Limits != nil {
		limits, _ = json.Marshal(new.Limits)
	}
	batch := &pgx.Batch{}
	batch.Queue(lockCounters, new.Email, new.IPAddress)
	batch.Queue(beginAttempt, new.Email, new.IPAddress, new.UserAgent, string(limits))
	results := s.pool.SendBatch(r.Context(), batch)
	_, err := results.Exec()
	var row begun
	if err == nil {
		row, err = scanBegun(results.QueryRow())
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	if errors.Is(err, pgx.ErrNoRows) {
		problem(w, http.StatusTooManyRequests, "too-many-failures")
		return
	}
	if !withUser {
		row.User = nil
	}
	finish(w, http.StatusCreated, row, err, "")
}

const completeAttempt = `
	UPDATE login_attempts
	SET
		success = $2,
		failure_reason = $3,
		pending = false,
		completed_at = statement_timestamp()
	WHERE id = $1 AND pending
	RETURNING ` + attemptColumns

// Shares the user's row, as everything that makes tokens: whoever waits for it, or for the attempt,
// looks again at what they have become.
const completeWithToken = `
	WITH owner AS (
		SELECT id
		FROM users
		WHERE id = $3 AND is_active AND version::text = COALESCE($4, version::text)
		FOR SHARE
	), completed AS (
		UPDATE login_attempts
		SET
			success = true,
			failure_reason = $2,
			pending = false,
			completed_at = statement_timestamp(),
			refresh_token_id = gen_random_uuid()
		WHERE id = $1 AND pending AND user_id = (SELECT id FROM owner)
		RETURNING *
	), created AS (
		INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at, user_agent, ip_address)
		SELECT refresh_token_id, user_id, $5, $6, $7, $8
		FROM completed
		RETURNING ` + tokenColumns + `
	)
	SELECT attempt.*, created.*
	FROM (SELECT ` + attemptColumns + ` FROM completed) AS attempt, created`

func (s *server) completeAttempt(w http.ResponseWriter, r *http.Request, id string) {
	var new completion
	if !uuidPattern.MatchString(id) || !decode(r, &new) || !new.valid() {
		invalid(w)
		return
	}
	var row completed
	var err error
	var userID *string
	if t := new.RefreshToken; t != nil {
		userID = &t.UserID
		row, err = scanCompleted(s.pool.QueryRow(r.Context(), completeWithToken,
			id, new.FailureReason, t.UserID, t.UserVersion,
			t.TokenHash, t.ExpiresAt, t.UserAgent, t.IPAddress))
	} else {
		row.Attempt, err = scanAttempt(s.pool.QueryRow(r.Context(), completeAttempt,
			id, *new.Success, new.FailureReason))
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		finish(w, http.StatusOK, row, err, "")
		return
	}
	var pending, isOwner bool
	var isActive *bool
	err = s.pool.QueryRow(r.Context(), `
		SELECT pending, user_id IS NOT DISTINCT FROM $2, is_active
		FROM login_attempts
		LEFT JOIN users ON users.id = user_id
		WHERE login_attempts.id = $1`, id, userID).Scan(&pending, &isOwner, &isActive)
	switch {
	case err != nil:
		finish(w, 0, nil, err, "login-attempt-not-found")
	case !pending:
		problem(w, http.StatusConflict, "attempt-completed")
	case !isOwner:
		problem(w, http.StatusUnprocessableEntity, "user-not-found")
	case isActive != nil && !*isActive:
		problem(w, http.StatusConflict, "user-inactive")
	default:
		problem(w, http.StatusPreconditionFailed, "precondition-failed")
	}
}

func (s *server) createToken(w http.ResponseWriter, r *http.Request) {
	var new newToken
	if !decode(r, &new) || !uuidPattern.MatchString(new.UserID) || !new.valid() {
		invalid(w)
		return
	}
	row, err := scanToken(s.pool.QueryRow(r.Context(), `
		INSERT INTO refresh_tokens (user_id, token_hash, expires_at, user_agent, ip_address)
		SELECT id, $2, $3, $4, $5
		FROM users
		WHERE id = $1 AND is_active
		FOR SHARE
		RETURNING `+tokenColumns,
		new.UserID, new.TokenHash, new.ExpiresAt, new.UserAgent, new.IPAddress))
	if !errors.Is(err, pgx.ErrNoRows) {
		finish(w, http.StatusCreated, row, err, "")
		return
	}
	var active bool
	err = s.pool.QueryRow(r.Context(), `SELECT is_active FROM users WHERE id = $1`, new.UserID).
		Scan(&active)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		problem(w, http.StatusUnprocessableEntity, "user-not-found")
	case err != nil:
		finish(w, 0, nil, err, "")
	default:
		problem(w, http.StatusConflict, "user-inactive")
	}
}

// included tells whether a request wants more, and whether its query is one at all.
func included(r *http.Request, what string) (wanted, ok bool) {
	query := r.URL.Query()
	switch {
	case len(query) == 0:
		return false, true
	default:
		return true, len(query) == 1 && query.Get("include") == what
	}
}

func (s *server) validToken(w http.ResponseWriter, r *http.Request, hash string) {
	withUser, ok := included(r, "user")
	if !ok {
		invalid(w)
		return
	}
	var row token
	var err error
	if withUser {
		row, err = scanTokenWithUser(s.pool.QueryRow(r.Context(), `
			SELECT `+tokenColumns+`, `+userColumns+`
			FROM refresh_tokens
			JOIN users ON users.id = user_id
			WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > now()`, hash))
	} else {
		row, err = scanToken(s.pool.QueryRow(r.Context(), `
			SELECT `+tokenColumns+`
			FROM refresh_tokens
			WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > now()`, hash))
	}
	finish(w, http.StatusOK, row, err, "refresh-token-not-found")
}

// When nobody shares the user's row any more, all rotations are done or have to wait, and the next
// statement of the batch, which is a transaction, sees the session's live token.
const lockOwner = `
	SELECT FROM users
	WHERE id = (SELECT user_id FROM refresh_tokens WHERE token_hash = $1)
	FOR UPDATE`

const revokeSession = `
	UPDATE refresh_tokens
	SET revoked_at = now(), revoked_reason = 'logout'
	FROM refresh_tokens AS asked
	WHERE
		asked.token_hash = $1
		AND refresh_tokens.user_id = asked.user_id
		AND COALESCE(refresh_tokens.session_id, refresh_tokens.id)
			= COALESCE(asked.session_id, asked.id)
		AND refresh_tokens.revoked_at IS NULL
		AND refresh_tokens.expires_at > now()`

const tokenByHash = `SELECT ` + tokenColumns + ` FROM refresh_tokens WHERE token_hash = $1`

func (s *server) revokeToken(w http.ResponseWriter, r *http.Request, hash string) {
	// A session has one live token, which a rotation replaces: if this token is live, it is the one,
	// and a rotation that waits for its row finds it revoked.
	row, err := scanToken(s.pool.QueryRow(r.Context(), `
		UPDATE refresh_tokens
		SET revoked_at = now(), revoked_reason = 'logout'
		WHERE token_hash = $1 AND revoked_at IS NULL
		RETURNING `+tokenColumns, hash))
	if !errors.Is(err, pgx.ErrNoRows) {
		finish(w, http.StatusOK, row, err, "")
		return
	}
	// Rotated before, or just now: its session may live on.
	batch := &pgx.Batch{}
	batch.Queue(lockOwner, hash)
	batch.Queue(revokeSession, hash)
	batch.Queue(tokenByHash, hash)
	results := s.pool.SendBatch(r.Context(), batch)
	if _, err = results.Exec(); err == nil {
		_, err = results.Exec()
	}
	if err == nil {
		row, err = scanToken(results.QueryRow())
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	finish(w, http.StatusOK, row, err, "refresh-token-not-found")
}

const spent = `spent AS (
	UPDATE refresh_tokens
	SET revoked_at = now(), revoked_reason = 'rotated', successor_id = gen_random_uuid()
	WHERE
		token_hash = $1
		AND revoked_at IS NULL
		AND expires_at > now()
		AND EXISTS (SELECT FROM users WHERE users.id = user_id AND is_active FOR SHARE)
	RETURNING
		successor_id,
		user_id,
		user_agent,
		ip_address,
		COALESCE(session_id, id) AS session_id,
		COALESCE(signed_in_at, created_at) AS signed_in_at,
		session_expires_at
)`

const insertSuccessor = `
	INSERT INTO refresh_tokens (
		id, user_id, token_hash, expires_at, user_agent, ip_address, session_id, signed_in_at,
		session_expires_at
	)
	SELECT
		successor_id,
		user_id,
		$2,
		LEAST($3, session_expires_at),
		COALESCE($4, user_agent),
		COALESCE($5, ip_address),
		session_id,
		signed_in_at,
		session_expires_at
	FROM spent
	RETURNING `

const rotateToken = `WITH ` + spent + insertSuccessor + tokenColumns

const rotateTokenWithUser = `
	WITH ` + spent + `, refresh_tokens AS (` + insertSuccessor + `refresh_tokens.*)
	SELECT ` + tokenColumns + `, ` + userColumns + `
	FROM refresh_tokens
	JOIN users ON users.id = user_id`

func (s *server) rotateToken(w http.ResponseWriter, r *http.Request, hash string) {
	var new successor
	withUser, ok := included(r, "user")
	if !ok || !decode(r, &new) || !new.valid() {
		invalid(w)
		return
	}
	statement, scan := rotateToken, scanToken
	if withUser {
		statement, scan = rotateTokenWithUser, scanTokenWithUser
	}
	row, err := scan(s.pool.QueryRow(r.Context(), statement,
		hash, new.TokenHash, new.ExpiresAt, new.UserAgent, new.IPAddress))
	if !errors.Is(err, pgx.ErrNoRows) {
		finish(w, http.StatusCreated, row, err, "")
		return
	}
	var active, rotated, revoked bool
	err = s.pool.QueryRow(r.Context(), `
		SELECT is_active, successor_id IS NOT NULL, revoked_at IS NOT NULL
		FROM refresh_tokens
		JOIN users ON users.id = user_id
		WHERE token_hash = $1`, hash).Scan(&active, &rotated, &revoked)
	switch {
	case err != nil:
		finish(w, 0, nil, err, "refresh-token-not-found")
	case !active:
		problem(w, http.StatusConflict, "user-inactive")
	case rotated:
		problem(w, http.StatusConflict, "refresh-token-reused")
	case revoked:
		problem(w, http.StatusConflict, "refresh-token-revoked")
	default:
		problem(w, http.StatusGone, "refresh-token-expired")
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	given := []byte(r.Header.Get("Authorization"))
	if subtle.ConstantTimeCompare(given, s.authorization) != 1 {
		problem(w, http.StatusUnauthorized, "unauthorized")
		return
	}
	path := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/v1/"), "/")
	for i, part := range path {
		decoded, err := url.PathUnescape(part)
		if err != nil {
			invalid(w)
			return
		}
		path[i] = decoded
	}
	get, post := r.Method == http.MethodGet, r.Method == http.MethodPost
	patch := r.Method == http.MethodPatch
	switch {
	case get && len(path) == 2 && path[0] == "users":
		s.userByID(w, r, path[1])
	case get && len(path) == 3 && path[0] == "users" && path[1] == "by-email":
		s.userByEmail(w, r, path[2])
	case get && len(path) == 4 && path[0] == "users" && path[2] == "login-attempts" &&
		path[3] == "recent-failures":
		s.recentFailures(w, r, path[1])
	case get && len(path) == 3 && path[0] == "refresh-tokens" && path[2] == "valid":
		s.validToken(w, r, path[1])
	case patch && len(path) == 2 && path[0] == "users":
		s.updateUser(w, r, path[1])
	case post && len(path) == 1 && path[0] == "users":
		s.createUser(w, r)
	case post && len(path) == 1 && path[0] == "login-attempts":
		s.createAttempt(w, r)
	case post && len(path) == 2 && path[0] == "login-attempts" && path[1] == "begin":
		s.beginAttempt(w, r)
	case post && len(path) == 3 && path[0] == "login-attempts" && path[2] == "complete":
		s.completeAttempt(w, r, path[1])
	case post && len(path) == 1 && path[0] == "refresh-tokens":
		s.createToken(w, r)
	case post && len(path) == 3 && path[0] == "refresh-tokens" && path[2] == "revoke":
		s.revokeToken(w, r, path[1])
	case post && len(path) == 3 && path[0] == "refresh-tokens" && path[2] == "rotate":
		s.rotateToken(w, r, path[1])
	default:
		problem(w, http.StatusNotFound, "not-found")
	}
}

func main() {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	config.MaxConns = 10
	pool, err := pgxpool.ConnectConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), &server{
		pool:          pool,
		authorization: []byte("Bearer " + os.Getenv("API_KEY")),
	}))
}
