-- sha256 de21d01ca4510675e0019feadff596ceaa4942eb9b5298c8734616c17426308b
-- Description of the published tables (TAP 1.1 section 4).
-- requires: roles/tapdb_owner
-- drop
DROP SCHEMA IF EXISTS tap_schema;
-- create
CREATE SCHEMA tap_schema AUTHORIZATION tapdb_owner;
COMMENT ON SCHEMA tap_schema IS 'TAP_SCHEMA: what TAP clients may query, with units, UCDs and descriptions.';
REVOKE ALL ON SCHEMA tap_schema FROM PUBLIC;
