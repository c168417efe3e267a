-- sha256 6cf486a2a326195b1b5f0c2990e8216e0f0ba54b557346b07051598d6397b651
-- The data collection that stored queries are subsets of: one row, which a DBA fills in once (tapdb replay collection).
-- requires: schemas/ppdb_history, roles/tapdb_owner, roles/tapdb_reader
-- drop
DROP TABLE IF EXISTS ppdb_history.collection;
-- create
CREATE TABLE ppdb_history.collection (
  is_only_row boolean NOT NULL DEFAULT true,
  title text NOT NULL DEFAULT 'Prompt Products Database',
  creator text NOT NULL DEFAULT '',
  publisher text NOT NULL DEFAULT '',
  superset text NOT NULL DEFAULT '',
  pid_prefix text NOT NULL DEFAULT 'ppdb.',
  landing_url text NOT NULL DEFAULT '',
  CONSTRAINT collection_pkey PRIMARY KEY (is_only_row),
  CONSTRAINT collection_is_only_row_check CHECK (is_only_row)
);
ALTER TABLE ppdb_history.collection OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.collection IS 'The data collection that stored queries are subsets of, as citations name it: one row.';
COMMENT ON COLUMN ppdb_history.collection.is_only_row IS 'True: there is one row.';
COMMENT ON COLUMN ppdb_history.collection.title IS 'Title of the collection.';
COMMENT ON COLUMN ppdb_history.collection.creator IS 'Who made the data, as citations name them.';
COMMENT ON COLUMN ppdb_history.collection.publisher IS 'Who publishes the data.';
COMMENT ON COLUMN ppdb_history.collection.superset IS 'Persistent identifier of the whole collection, such as a DOI or an IVOA identifier.';
COMMENT ON COLUMN ppdb_history.collection.pid_prefix IS 'What the identifiers of stored queries begin with, such as 10.5072/ppdb. for DOIs.';
COMMENT ON COLUMN ppdb_history.collection.landing_url IS 'URL of landing pages; the identifier of a query follows it.';
REVOKE ALL ON TABLE ppdb_history.collection FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.collection TO tapdb_reader;
INSERT INTO ppdb_history.collection DEFAULT VALUES;
