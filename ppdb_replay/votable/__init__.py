"""VOTables that repeat a result: `writer` puts the record into them, `file_record` takes it out."""
