-- Owner, comment and grants of everything in the schemas of this database: (schema, object, property, value).
-- A grant is a property of its own, so that one that was added or taken away shows as that; '*' marks a grant option.
-- Members of extensions and PostgreSQL's own schemas are left out.
WITH relation AS (
  SELECT c.oid, n.nspname,
    CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
      WHEN 'f' THEN 'foreign table' WHEN 'S' THEN 'sequence' WHEN 'c' THEN 'type' ELSE 'relation' END
      || ' ' || format('%I.%I', n.nspname, c.relname) AS object,
    c.relowner, c.relacl, c.relkind
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
), thing AS (
  SELECT 'pg_namespace'::regclass AS classid, n.oid, 0 AS part, n.nspname, format('schema %I', n.nspname) AS object, '' AS prefix,
    n.nspowner AS owner, coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl
  FROM pg_namespace n
  UNION ALL
  SELECT 'pg_class'::regclass, r.oid, 0, r.nspname, r.object, '', r.relowner,
    coalesce(r.relacl, acldefault(CASE r.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", r.relowner))
  FROM relation r
  UNION ALL
  SELECT 'pg_class'::regclass, r.oid, a.attnum, r.nspname, r.object, format('column %I ', a.attname), NULL, a.attacl
  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT 'pg_class'::regclass, i.indexrelid, 0, r.nspname, r.object, format('index %I ', x.relname), NULL, NULL
  FROM relation r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class x ON x.oid = i.indexrelid
  UNION ALL
  SELECT 'pg_constraint'::regclass, k.oid, 0, r.nspname, r.object, format('constraint %I ', k.conname), NULL, NULL
  FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid
  UNION ALL
  SELECT 'pg_trigger'::regclass, t.oid, 0, r.nspname, r.object, format('trigger %I ', t.tgname), NULL, NULL
  FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
  UNION ALL
  SELECT 'pg_policy'::regclass, p.oid, 0, r.nspname, r.object, format('policy %I ', p.polname), NULL, NULL
  FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
  UNION ALL
  SELECT 'pg_statistic_ext'::regclass, s.oid, 0, r.nspname, r.object, format('statistics %I ', s.stxname), s.stxowner, NULL
  FROM relation r JOIN pg_statistic_ext s ON s.stxrelid = r.oid
  UNION ALL
  SELECT 'pg_proc'::regclass, p.oid, 0, n.nspname,
    CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END
      || ' ' || format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
    '', p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  UNION ALL
  SELECT 'pg_type'::regclass, t.oid, 0, n.nspname, format('type %s', format_type(t.oid, NULL)), '', t.typowner,
    coalesce(t.typacl, acldefault('T', t.typowner))
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE t.typtype IN ('d', 'e', 'r') OR (t.typtype = 'b' AND t.typcategory <> 'A')
  UNION ALL
  SELECT 'pg_operator'::regclass, o.oid, 0, n.nspname, format('operator %s', o.oid::regoperator), '', o.oprowner, NULL
  FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
), shown AS (
  SELECT t.* FROM thing t
  WHERE t.nspname <> 'information_schema' AND t.nspname !~ '^pg_'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = t.classid AND d.objid = t.oid AND d.deptype = 'e')
)
SELECT nspname AS schema, object, prefix || 'owner' AS property, pg_get_userbyid(owner)::text AS value
FROM shown WHERE owner IS NOT NULL
UNION ALL
SELECT nspname, object, prefix || 'comment', d.description
FROM shown JOIN pg_description d ON (d.classoid, d.objoid, d.objsubid) = (shown.classid, shown.oid, shown.part)
UNION ALL
SELECT nspname, object, prefix || 'grant to ' || CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
  string_agg(g.privilege_type || CASE WHEN g.is_grantable THEN '*' ELSE '' END, ', ' ORDER BY g.privilege_type)
FROM shown, aclexplode(shown.acl) g
GROUP BY nspname, object, prefix, g.grantee
