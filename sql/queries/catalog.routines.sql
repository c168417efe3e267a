-- Functions, procedures, aggregates, types and operators: (schema, object, property, value).
-- Members of extensions and PostgreSQL's own schemas are left out, save for operators, whose selectivity may be set by hand.
SELECT n.nspname AS schema,
  CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END
    || ' ' || format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS object,
  'definition' AS property,
  CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid)
    ELSE concat_ws(' ', 'state', format_type(a.aggtranstype, NULL), 'by', a.aggtransfn::text, 'then', a.aggfinalfn::text,
      'combined by', a.aggcombinefn::text, 'from', a.agginitval, p.proparallel::text) END AS value
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT n.nspname, format('type %s', format_type(t.oid, NULL)), 'definition',
  CASE t.typtype
    WHEN 'e' THEN 'enum ' || (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
    WHEN 'd' THEN concat_ws(' ', 'domain over', format_type(t.typbasetype, t.typtypmod), CASE WHEN t.typnotnull THEN 'not null' END,
      'default ' || t.typdefault,
      (SELECT string_agg(k.conname || ' ' || pg_get_constraintdef(k.oid), ', ' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid))
    WHEN 'r' THEN 'range of ' || (SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE r.rngtypid = t.oid)
    ELSE concat_ws(' ', 'base type', t.typinput::text, t.typoutput::text) END
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE (t.typtype IN ('d', 'e', 'r') OR (t.typtype = 'b' AND t.typcategory <> 'A'))
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
UNION ALL
SELECT n.nspname, format('operator %s', o.oid::regoperator), 'definition',
  concat_ws(' ', o.oprcode::text, 'restrict', o.oprrest::text, 'join', o.oprjoin::text,
    'commutator', nullif(o.oprcom, 0)::regoperator::text, 'negator', nullif(o.oprnegate, 0)::regoperator::text,
    CASE WHEN o.oprcanhash THEN 'hashes' END, CASE WHEN o.oprcanmerge THEN 'merges' END)
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
