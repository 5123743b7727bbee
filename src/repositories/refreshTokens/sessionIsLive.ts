import type { SqlClient } from "effect/sql"

/** Whether a token of the same session is live, for a row of `refresh_tokens` that a query reads. */
export const sessionIsLive = (sql: SqlClient.SqlClient) =>
  sql.literal(`EXISTS (
    SELECT
    FROM public.refresh_tokens AS live
    WHERE
      live.user_id = refresh_tokens.user_id
      AND COALESCE(live.session_id, live.id) = COALESCE(refresh_tokens.session_id, refresh_tokens.id)
      AND live.revoked_at IS NULL
      AND live.expires_at > now()
  )`)
