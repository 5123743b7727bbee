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
	ID           string  `json:"id"`
	Email        string  `json:"email"`
	FullName     *string `json:"fullName"`
	AuthProvider string  `json:"authProvider"`
	GoogleID     *string `json:"googleId"`
	IsActive     bool    `json:"isActive"`
	CreatedAt    instant `json:"createdAt"`
	UpdatedAt    instant `json:"updatedAt"`
}

type token struct {
	ID        string   `json:"id"`
	UserID    string   `json:"userId"`
	TokenHash string   `json:"tokenHash"`
	ExpiresAt instant  `json:"expiresAt"`
	CreatedAt instant  `json:"createdAt"`
	RevokedAt *instant `json:"revokedAt"`
	UserAgent *string  `json:"userAgent"`
	IPAddress *string  `json:"ipAddress"`
	IsValid   bool     `json:"isValid"`
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

type newAttempt struct {
	UserID        *string `json:"userId"`
	Email         string  `json:"email"`
	IPAddress     string  `json:"ipAddress"`
	UserAgent     *string `json:"userAgent"`
	Success       *bool   `json:"success"`
	FailureReason *string `json:"failureReason"`
}

var (
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

const userColumns = `id::text, email, full_name, auth_provider::text, google_id, is_active,
  created_at, updated_at`

const tokenColumns = `id::text, user_id::text, token_hash, expires_at, created_at, revoked_at,
  user_agent, host(ip_address), revoked_at IS NULL AND expires_at > now()`

const attemptColumns = `id::text, user_id::text, email, host(ip_address), user_agent, success,
  failure_reason, attempted_at`

func scanUser(row pgx.Row) (u user, err error) {
	err = row.Scan(&u.ID, &u.Email, &u.FullName, &u.AuthProvider, &u.GoogleID, &u.IsActive,
		(*time.Time)(&u.CreatedAt), (*time.Time)(&u.UpdatedAt))
	return
}

func scanToken(row pgx.Row) (t token, err error) {
	var revokedAt *time.Time
	err = row.Scan(&t.ID, &t.UserID, &t.TokenHash, (*time.Time)(&t.ExpiresAt),
		(*time.Time)(&t.CreatedAt), &revokedAt, &t.UserAgent, &t.IPAddress, &t.IsValid)
	t.RevokedAt = (*instant)(revokedAt)
	return
}

func scanAttempt(row pgx.Row) (a attempt, err error) {
	err = row.Scan(&a.ID, &a.UserID, &a.Email, &a.IPAddress, &a.UserAgent, &a.Success,
		&a.FailureReason, (*time.Time)(&a.AttemptedAt))
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

func (s *server) createToken(w http.ResponseWriter, r *http.Request) {
	var new newToken
	if !decode(r, &new) || !uuidPattern.MatchString(new.UserID) || !new.valid() {
		invalid(w)
		return
	}
	row, err := scanToken(s.pool.QueryRow(r.Context(), `
		INSERT INTO refresh_tokens (user_id, token_hash, expires_at, user_agent, ip_address)
		VALUES ($1, $2, $3, $4, $5)
		RETURNING `+tokenColumns,
		new.UserID, new.TokenHash, new.ExpiresAt, new.UserAgent, new.IPAddress))
	finish(w, http.StatusCreated, row, err, "")
}

func (s *server) validToken(w http.ResponseWriter, r *http.Request, hash string) {
	row, err := scanToken(s.pool.QueryRow(r.Context(), `
		SELECT `+tokenColumns+`
		FROM refresh_tokens
		WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > now()`, hash))
	finish(w, http.StatusOK, row, err, "refresh-token-not-found")
}

func (s *server) revokeToken(w http.ResponseWriter, r *http.Request, hash string) {
	row, err := scanToken(s.pool.QueryRow(r.Context(), `
		UPDATE refresh_tokens
		SET revoked_at = COALESCE(revoked_at, now())
		WHERE token_hash = $1
		RETURNING `+tokenColumns, hash))
	finish(w, http.StatusOK, row, err, "refresh-token-not-found")
}

func (s *server) rotateToken(w http.ResponseWriter, r *http.Request, hash string) {
	var new successor
	if !decode(r, &new) || !new.valid() {
		invalid(w)
		return
	}
	row, err := scanToken(s.pool.QueryRow(r.Context(), `
		WITH spent AS (
			UPDATE refresh_tokens
			SET revoked_at = now(), successor_id = gen_random_uuid()
			WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > now()
			RETURNING user_id, successor_id
		)
		INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at, user_agent, ip_address)
		SELECT successor_id, user_id, $2, $3, $4, $5
		FROM spent
		RETURNING `+tokenColumns,
		hash, new.TokenHash, new.ExpiresAt, new.UserAgent, new.IPAddress))
	if !errors.Is(err, pgx.ErrNoRows) {
		finish(w, http.StatusCreated, row, err, "")
		return
	}
	var rotated, revoked bool
	err = s.pool.QueryRow(r.Context(), `
		SELECT successor_id IS NOT NULL, revoked_at IS NOT NULL
		FROM refresh_tokens
		WHERE token_hash = $1`, hash).Scan(&rotated, &revoked)
	switch {
	case err != nil:
		finish(w, 0, nil, err, "refresh-token-not-found")
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
	case post && len(path) == 1 && path[0] == "users":
		s.createUser(w, r)
	case post && len(path) == 1 && path[0] == "login-attempts":
		s.createAttempt(w, r)
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
