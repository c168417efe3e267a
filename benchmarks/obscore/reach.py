"""What the view is to reach at 1.1 million rows."""

from __future__ import annotations

from benchmarks.results_file import Reach

__all__ = ["REACHES"]

REACHES = (
    Reach("join_point_ratio", 2.5, "20 uploaded points in regions / table"),
    Reach("join_circle_ratio", 2.5, "20 uploaded circles on regions / table"),
    Reach("join_uuid_ratio", 3.5, "20 uploaded UUIDs joined / table"),
    Reach("join_visit_ratio", 2.5, "20 uploaded pairs of visit and detector joined / table"),
    Reach("in_uuid_ratio", 3, "UUID IN (SELECT of 20) / table"),
    Reach("newest_ratio", 8, "ORDER BY t_min DESC, the first 10, all dataset types / table"),
    Reach("newest_typed_ratio", 4, "the same, one dataset type / table"),
    Reach("cone_all_ratio", 3, "cone of 0.01 deg, all dataset types, text sent each time / live"),
    Reach("cone_typed_ratio", 3, "the same, one dataset type / live"),
    Reach("cone_all_prepared_ratio", 1.3, "cone of 0.01 deg, all dataset types, prepared / live"),
    Reach("cone_typed_prepared_ratio", 1.3, "the same, one dataset type / live"),
    Reach("cone_wide_prepared_ratio", 1.2, "cone of 5 deg, all dataset types, prepared / live"),
    Reach("uuid_ratio", 3, "by dataset UUID, text sent each time / live"),
    Reach("uuid_prepared_ratio", 1.3, "the same, prepared / live"),
    Reach("obs_id_ratio", 0.012, "by obs_id / live, which has no index for it"),
    Reach("did_ratio", 0.007, "by obs_publisher_did / live, likewise"),
    Reach("time_ratio", 0.15, "ten minutes / live, likewise"),
    Reach("count_ratio", 1.3, "count(*) / table"),
    Reach("group_ratio", 0.6, "count(*) by type and band / table"),
    Reach("scan_ratio", 1.2, "COPY of all rows, all columns of the live table / table"),
    Reach("read_share_max", 0.5, "largest part of the datasets that a plan of the questions above reads"),
    Reach("find_first_ratio", 1.3, "cone of 5 deg, find-first over 1,000 RUNs / over 4"),
    Reach("planning_types_ratio", 1.5, "planning of a cone, 200 dataset types / 4"),
    Reach("ingest_raw_ratio", 1.10, "insertDatasets of raws, with / without tapdb"),
    Reach("ingest_image_ratio", 1.10, "insertDatasets of visit images, with / without tapdb"),
    Reach(
        "define_visits_ratio", 1.8, "defining visits, raws included that wait for them, with / without tapdb"
    ),
    Reach("storage_ratio", 0.60, "bytes that tapdb adds / live table with its indexes"),
    Reach(
        "upgrade_lock_ratio", 10, "longest wait of a writer while the view is made / one ingest of 189 raws"
    ),
    Reach("growth_join", 1.5, "growth of the join of points from the smallest archive / the table's growth"),
    Reach("growth_cone", 1.5, "growth of the cone of 0.01 deg, likewise"),
    Reach("growth_newest", 1.5, "growth of the newest 10, likewise"),
    Reach("export_ratio", 0.04, "export to Parquet, per row: ours / dax_obscore"),
    Reach("decode_us", 14, "microseconds to decode one region to STC-S"),
)
"""In the order of printing: ``/ live`` is daf_butler's table, ``/ table`` a copy of the view."""
