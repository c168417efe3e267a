-- Which columns the versioned tables had in a snapshot: (last snapshot up to it in which a column came or went, number of columns that are known).
-- Parameter: snapshot, a number.
SELECT greatest(max(snap_from) FILTER (WHERE snap_from <= %(snapshot)s), max(snap_to) FILTER (WHERE snap_to <= %(snapshot)s)), count(*)
FROM ppdb_history.versioned_column
