"""VOTables from which a result comes again: `writer` puts the record into them, `reader` takes it out."""
