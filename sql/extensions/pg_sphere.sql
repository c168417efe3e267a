-- Installs pg_sphere 1.2.0 on servers that refuse its packaged script, as an extension like any other.
--
-- The script ends with two operators for an old client, `bigint @ smoc` and `spoint @ smoc`. They claim commutator and
-- negator of `<@`, which PostgreSQL accepts no longer (15.20 and others of that date); pg_sphere 1.4.0 drops them. This
-- block reads the script that the server has, leaves out these two statements, runs it, and then registers what it made.
-- The result is what CREATE EXTENSION would have made, less the two operators. Files of the package stay as they are.
-- Superuser only, because it writes a row of pg_extension. Where plain CREATE EXTENSION works use that:
-- `tapdb extensions install` chooses.

-- drop
DROP EXTENSION IF EXISTS pg_sphere;

-- create
DO $mend$
DECLARE
    refused CONSTANT text :=
        'CREATE\s+OPERATOR\s+@\s*\(\s*LEFTARG\s*=\s*(?:bigint|spoint)\s*,\s*RIGHTARG\s*=\s*smoc\s*,[^;]*;';
    target CONSTANT regnamespace := 'public';
    callers_search_path CONSTANT text := current_setting('search_path');
    callers_messages CONSTANT text := current_setting('client_min_messages');
    packaged record;
    script text;
    extension_oid oid;
    objects_before bigint[];
    member record;
BEGIN
    SELECT v.version, v.relocatable, e.comment
      INTO packaged
      FROM pg_catalog.pg_available_extensions AS e
      JOIN pg_catalog.pg_available_extension_versions AS v ON v.name = e.name AND v.version = e.default_version
     WHERE e.name = 'pg_sphere';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the server has no package with pg_sphere' USING ERRCODE = 'undefined_file';
    END IF;
    SELECT pg_catalog.pg_read_file(pg_catalog.format('%s/extension/pg_sphere--%s.sql', setting, packaged.version))
      INTO script
      FROM pg_catalog.pg_config
     WHERE name = 'SHAREDIR';
    IF (SELECT count(*) FROM pg_catalog.regexp_matches(script, refused, 'gi')) <> 2 THEN
        RAISE EXCEPTION 'pg_sphere % is not the release that this mends', packaged.version
            USING ERRCODE = 'feature_not_supported', HINT = 'CREATE EXTENSION pg_sphere should do.';
    END IF;
    script := pg_catalog.regexp_replace(script, refused, '', 'gi');
    -- The line that keeps psql from running the script, then what CREATE EXTENSION itself fills in.
    script := pg_catalog.regexp_replace(script, '^\\echo .*$', '', 'gn');
    script := pg_catalog.replace(script, 'MODULE_PATHNAME', '$libdir/pg_sphere');

    -- As in CREATE EXTENSION: names resolve in the target schema, shell types raise no notices.
    PERFORM pg_catalog.set_config('search_path', pg_catalog.format('%s, pg_temp', target), true);
    PERFORM pg_catalog.set_config('client_min_messages', 'warning', true);
    objects_before := ARRAY(
        SELECT classid::bigint << 32 | objid::bigint
          FROM pg_catalog.pg_depend
         WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid = target);
    EXECUTE script;

    extension_oid := pg_catalog.pg_nextoid('pg_catalog.pg_extension', 'oid', 'pg_catalog.pg_extension_oid_index');
    INSERT INTO pg_catalog.pg_extension
        (oid, extname, extowner, extnamespace, extrelocatable, extversion, extconfig, extcondition)
    VALUES
        (extension_oid, 'pg_sphere', current_user::regrole, target, packaged.relocatable, packaged.version, NULL, NULL);
    INSERT INTO pg_catalog.pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
    VALUES
        ('pg_catalog.pg_extension'::pg_catalog.regclass, extension_oid, 0,
         'pg_catalog.pg_namespace'::pg_catalog.regclass, target, 0, 'n');
    -- Roles made by initdb own without a record of it (IsPinnedObject: below 12000).
    INSERT INTO pg_catalog.pg_shdepend (dbid, classid, objid, objsubid, refclassid, refobjid, deptype)
    SELECT d.oid, 'pg_catalog.pg_extension'::pg_catalog.regclass, extension_oid, 0,
           'pg_catalog.pg_authid'::pg_catalog.regclass, r.oid, 'o'
      FROM pg_catalog.pg_database AS d, pg_catalog.pg_roles AS r
     WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user AND r.oid >= 12000;

    -- Every object says in which schema it is, save casts, which are found by their types.
    FOR member IN
        WITH made AS (
            SELECT classid, objid
              FROM pg_catalog.pg_depend
             WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid = target
               AND classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass
               AND (classid::bigint << 32 | objid::bigint) <> ALL (objects_before)
        )
        SELECT o.type, o.identity
          FROM (SELECT classid, objid FROM made
                UNION ALL
                SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, c.oid
                  FROM pg_catalog.pg_cast AS c
                 WHERE EXISTS (SELECT FROM made
                                WHERE made.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
                                  AND made.objid IN (c.castsource, c.casttarget))) AS a,
               LATERAL pg_catalog.pg_identify_object(a.classid, a.objid, 0) AS o
    LOOP
        EXECUTE pg_catalog.format('ALTER EXTENSION pg_sphere ADD %s %s', member.type, member.identity);
    END LOOP;
    EXECUTE pg_catalog.format('COMMENT ON EXTENSION pg_sphere IS %L', packaged.comment);

    PERFORM pg_catalog.set_config('search_path', callers_search_path, true);
    PERFORM pg_catalog.set_config('client_min_messages', callers_messages, true);
END
$mend$;
