-- The registry's database and its two roles, once, by a superuser:  psql -f registry.sql
--
--   registry_owner   owns the tables and migrates them; nobody is logged in with it but during a migration:
--                    lachan-blocklist database --config registry-owner.yaml --grant registry
--   registry         the service's (`registry.database` in list.yaml): it reads and adds rows, and can do nothing else.
--                    UPDATE, DELETE, TRUNCATE and any change of the schema are refused by PostgreSQL itself.
--
-- Passwords are set apart from this file:  \password registry_owner   and   \password registry
CREATE ROLE registry_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
CREATE ROLE registry LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
CREATE DATABASE registry OWNER registry_owner;
REVOKE ALL ON DATABASE registry FROM PUBLIC;
GRANT CONNECT ON DATABASE registry TO registry;
\connect registry
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO registry_owner;
