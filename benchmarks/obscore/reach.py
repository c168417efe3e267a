"""What the view is to reach at 1.1 million rows; ratios are view to live table unless it says otherwise."""

from __future__ import annotations

from benchmarks.results_file import Reach

__all__ = ["REACHES"]

REACHES = (
    Reach("cone_typed_ratio", 8, "cone of 0.01 deg, one dataset type, text sent each time"),
    Reach("cone_typed_prepared_ratio", 1.6, "the same, prepared"),
    Reach("cone_all_ratio", 10, "cone of 0.01 deg, all dataset types, text sent each time"),
    Reach("cone_all_prepared_ratio", 2.5, "the same, prepared"),
    Reach("cone_wide_prepared_ratio", 3, "cone of 5 deg, all dataset types, prepared"),
    Reach("uuid_ratio", 10, "by dataset UUID, text sent each time"),
    Reach("uuid_prepared_ratio", 2, "the same, prepared"),
    Reach("did_ratio", 0.02, "by obs_publisher_did, for which the live table has no index"),
    Reach("obs_id_ratio", 0.06, "by obs_id, likewise"),
    Reach("time_ratio", 0.2, "ten minutes, likewise"),
    Reach("count_ratio", 4, "count(*)"),
    Reach("scan_ratio", 2, "COPY of all rows, all columns of the live table"),
    Reach("storage_ratio", 0.35, "bytes that tapdb adds / live table with its indexes"),
    Reach("ingest_raw_ratio", 1.05, "insertDatasets of raws, with / without tapdb"),
    Reach("ingest_image_ratio", 1.05, "insertDatasets of visit images, with / without tapdb"),
    Reach("define_visits_ratio", 1.25, "defining visits, with / without tapdb"),
    Reach("export_ratio", 0.04, "export to Parquet, per row: ours / dax_obscore"),
    Reach("decode_us", 14, "microseconds to decode one region to STC-S"),
)
"""In the order in which they are printed."""
