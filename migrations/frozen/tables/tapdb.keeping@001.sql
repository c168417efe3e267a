-- sha256 d41b93a7814ce1fe0eecab7015954eaca82f087dacec476d7d591ca5f40aa1c9
-- What is run after each change of a table of Butler's, so that kept tables stay equal to their sources: see tapdb.keep.
-- One row a statement. It sees the rows that were changed as the relations changed (new) and gone (old), and may be run twice.
-- requires: schemas/tapdb
-- drop
DROP TABLE IF EXISTS tapdb.keeping;
-- create
CREATE TABLE tapdb.keeping (
  registry_schema text NOT NULL,
  relation text NOT NULL,
  event text NOT NULL,
  kept text NOT NULL,
  place integer NOT NULL,
  statement text NOT NULL,
  settles boolean NOT NULL,
  CONSTRAINT keeping_pkey PRIMARY KEY (registry_schema, relation, event, kept, place),
  CONSTRAINT keeping_event_check CHECK (event IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'))
);
ALTER TABLE tapdb.keeping OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.keeping IS 'Statements that keep tables equal to their sources, by the change of Butler''s that they follow.';
COMMENT ON COLUMN tapdb.keeping.registry_schema IS 'Schema of the Butler registry.';
COMMENT ON COLUMN tapdb.keeping.relation IS 'Table of Butler''s that is changed.';
COMMENT ON COLUMN tapdb.keeping.event IS 'INSERT, UPDATE, DELETE or TRUNCATE.';
COMMENT ON COLUMN tapdb.keeping.kept IS 'What begins the names of the kept tables.';
COMMENT ON COLUMN tapdb.keeping.place IS 'Place in the order of statements; regions come before what refers to them.';
COMMENT ON COLUMN tapdb.keeping.statement IS 'The statement.';
COMMENT ON COLUMN tapdb.keeping.settles IS 'Whether it is run again once all transactions are over that ran beside the change.';
REVOKE ALL ON TABLE tapdb.keeping FROM PUBLIC;
