-- Planes and the planes that they were made of, as loaded graphs say; both are such as the reader sees.
SELECT w.planeid AS outputid, r.plane_uri AS inputid
FROM provenance.provenanceinput p
JOIN tapdb.caom2_source() AS w ON w.planeid = p.outputid
JOIN tapdb.caom2_source() AS r ON r.planeid = p.inputid::uuid
