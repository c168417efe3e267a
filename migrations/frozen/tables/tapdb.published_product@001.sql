-- sha256 f022ec25310b53c83ef8ef50c97f071c79770171d2839483db24a2253563a65e
-- What is published over an ObsCore view, one row for each product: its views are made again when that view is. Empty where nobody asked for it.
-- requires: schemas/tapdb, roles/tapdb_service
-- drop
DROP TABLE IF EXISTS tapdb.published_product;
-- create
CREATE TABLE tapdb.published_product (
  product text NOT NULL,
  view_schema text NOT NULL,
  view_name text NOT NULL,
  options jsonb NOT NULL DEFAULT '{}',
  CONSTRAINT published_product_pkey PRIMARY KEY (product)
);
ALTER TABLE tapdb.published_product OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.published_product IS 'What is published over an ObsCore view.';
COMMENT ON COLUMN tapdb.published_product.product IS 'Name of the product: caom2 or log.';
COMMENT ON COLUMN tapdb.published_product.view_schema IS 'Schema of the ObsCore view.';
COMMENT ON COLUMN tapdb.published_product.view_name IS 'Name of the ObsCore view.';
COMMENT ON COLUMN tapdb.published_product.options IS 'What the command that made it was given.';
REVOKE ALL ON TABLE tapdb.published_product FROM PUBLIC;
GRANT SELECT ON TABLE tapdb.published_product TO tapdb_service;
