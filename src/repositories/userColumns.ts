/** The columns of `users` as the `User` model names them. */
export const userColumns = `
  id,
  email,
  full_name AS "fullName",
  password_hash AS "passwordHash",
  auth_provider AS "authProvider",
  google_id AS "googleId",
  is_active AS "isActive",
  created_at AS "createdAt",
  updated_at AS "updatedAt",
  version::text AS version`
