-- Functions that keep versions and name snapshots: (name, owner, definition). definition is PostgreSQL's own text.
SELECT format('%s.%s', n.nspname, p.proname) AS name, pg_get_userbyid(p.proowner) AS owner, pg_get_functiondef(p.oid) AS definition
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE (n.nspname = 'ppdb_history' OR n.nspname = 'tapdb' AND p.proname IN ('mjd_tai', 'tai_minus_utc')) AND p.prokind = 'f'
ORDER BY 1
