"""A translated query to the bytes of a file.

`catalog` has the formats and their names, `frames` the systems of positions and times; `packing` is the SQL
that makes cells, `server_rows` runs it; `arrow` and `fits` write files that are not text; `stream` puts all
together: `stream_result`.
"""

from tap_query.formats.catalog import FORMATS, Format, UnknownFormatError, find_format
from tap_query.formats.stream import DocumentFacts, ResultStream, stream_result

__all__ = [
    "FORMATS",
    "DocumentFacts",
    "Format",
    "ResultStream",
    "UnknownFormatError",
    "find_format",
    "stream_result",
]
