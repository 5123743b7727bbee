-- The roles of latchkey, and its database: run once, by a superuser. The passwords are those of
-- examples/operations/secrets; replace them in both places.

-- Migrates: owns the database, and through that the schema public.
CREATE ROLE latchkey_owner LOGIN PASSWORD 'example-owner';

-- Serves: `deno task migrate grant latchkey_service` gives it the rows of the tables, and no DDL.
CREATE ROLE latchkey_service LOGIN PASSWORD 'example-service';

CREATE DATABASE latchkey OWNER latchkey_owner ENCODING 'UTF8' TEMPLATE template0;

-- By default everybody may connect, and make temporary tables.
REVOKE ALL ON DATABASE latchkey FROM PUBLIC;
GRANT CONNECT ON DATABASE latchkey TO latchkey_service;
