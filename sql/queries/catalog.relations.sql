-- Tables, views, sequences and all that hangs on them: (schema, object, property, value).
-- Definitions are PostgreSQL's own text of them, qualified if search_path is empty. A column's place is its rank, since dropped columns leave gaps.
-- Members of extensions and PostgreSQL's own schemas are left out. Of options only those that DDL can set are given: PostgreSQL 15.20 and 17.12
-- keep a counter of their own among the options of each column (pg_attver), which differs from database to database.
WITH relation AS (
  SELECT c.*, n.nspname,
    (SELECT string_agg(o, ',' ORDER BY o)
      FROM (SELECT unnest(c.reloptions) UNION ALL
        SELECT 'toast.' || unnest(t.reloptions) FROM pg_class t WHERE t.oid = c.reltoastrelid) AS of(o)
      WHERE o ~ '^(toast\.)?(fillfactor|parallel_workers|toast_tuple_target|user_catalog_table|(log_)?auto(vacuum|analyze)_\w+|vacuum_\w+|security_\w+|check_option)=')
      AS options,
    CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
      WHEN 'f' THEN 'foreign table' WHEN 'S' THEN 'sequence' WHEN 'c' THEN 'type' ELSE 'relation' END
      || ' ' || format('%I.%I', n.nspname, c.relname) AS object
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    )
), attribute AS (
  SELECT r.nspname, r.object, a.*,
    (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(a.attoptions) AS o WHERE o ~ '^n_distinct(_inherited)?=') AS options,
    rank() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS place
  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
  WHERE a.attnum > 0 AND NOT a.attisdropped AND r.relkind <> 'S'
)
SELECT r.nspname AS schema, r.object, 'storage' AS property,
  concat_ws(' ', r.relkind::text, r.relpersistence::text, 'options ' || r.options, 'access method ' || m.amname,
    'tablespace ' || s.spcname, 'row security' || CASE WHEN r.relrowsecurity THEN '' END,
    'forced' || CASE WHEN r.relforcerowsecurity THEN '' END, 'partition of ' || pg_get_expr(r.relpartbound, r.oid),
    'partitioned by ' || CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END, 'replica identity ' || r.relreplident::text) AS value
FROM relation r LEFT JOIN pg_am m ON m.oid = r.relam LEFT JOIN pg_tablespace s ON s.oid = r.reltablespace
UNION ALL
SELECT nspname, object, 'definition', pg_get_viewdef(oid) FROM relation WHERE relkind IN ('v', 'm')
UNION ALL
SELECT r.nspname, r.object, 'inherits', string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)
FROM relation r JOIN pg_inherits i ON i.inhrelid = r.oid GROUP BY r.nspname, r.object
UNION ALL
SELECT a.nspname, a.object, format('column %I', a.attname),
  concat_ws(' ', a.place::text, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END,
    CASE WHEN a.attcollation <> t.typcollation THEN 'collate ' || a.attcollation::regcollation::text END,
    CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity by default' END,
    CASE a.attgenerated WHEN '' THEN 'default ' ELSE 'generated ' END || pg_get_expr(d.adbin, d.adrelid),
    CASE WHEN a.attstorage <> t.typstorage THEN 'storage ' || a.attstorage::text END,
    CASE WHEN coalesce(a.attstattarget, -1) >= 0 THEN 'statistics ' || a.attstattarget END,
    'options ' || a.options)
FROM attribute a JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
UNION ALL
SELECT r.nspname, r.object, format('constraint %I', k.conname),
  pg_get_constraintdef(k.oid) || CASE WHEN k.convalidated THEN '' ELSE ' (not validated)' END
FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid
WHERE k.contype <> 't'
UNION ALL
SELECT r.nspname, r.object, format('index %I', x.relname),
  pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' (not valid)' END || CASE WHEN i.indisclustered THEN ' (clustered)' ELSE '' END
  || CASE WHEN i.indisreplident THEN ' (replica identity)' ELSE '' END
FROM relation r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class x ON x.oid = i.indexrelid
UNION ALL
SELECT r.nspname, r.object, format('trigger %I', t.tgname), pg_get_triggerdef(t.oid) || ' (enabled ' || t.tgenabled::text || ')'
FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
UNION ALL
SELECT r.nspname, r.object, format('rule %I', w.rulename), pg_get_ruledef(w.oid) || ' (enabled ' || w.ev_enabled::text || ')'
FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.rulename <> '_RETURN'
UNION ALL
SELECT r.nspname, r.object, format('policy %I', p.polname),
  concat_ws(' ', p.polcmd::text, CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
    'to ' || (SELECT string_agg(CASE u WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(u)::text END, ', ' ORDER BY pg_get_userbyid(u)) FROM unnest(p.polroles) u),
    'using ' || pg_get_expr(p.polqual, p.polrelid), 'check ' || pg_get_expr(p.polwithcheck, p.polrelid))
FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT r.nspname, r.object, format('statistics %I', s.stxname), pg_get_statisticsobjdef(s.oid)
FROM relation r JOIN pg_statistic_ext s ON s.stxrelid = r.oid
UNION ALL
SELECT r.nspname, r.object, 'sequence',
  concat_ws(' ', format_type(q.seqtypid, NULL), 'start', q.seqstart, 'increment', q.seqincrement, 'from', q.seqmin, 'to', q.seqmax,
    'cache', q.seqcache, CASE WHEN q.seqcycle THEN 'cycle' END)
FROM relation r JOIN pg_sequence q ON q.seqrelid = r.oid
