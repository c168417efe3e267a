"""The views of CAOM2, with the column names of CADC: over one ObsCore view, of what a reader sees in it."""

from types import MappingProxyType

from prompt_products.over_obscore import Product, SourceColumn

VISITS = ("lsst_visit", "visit")
"""Columns of an ObsCore view that say what visit a dataset belongs to; the first that there is counts."""

SCHEMA = "caom2"

_TEXT, _DOUBLE, _LONG, _INT, _TIME = "text", "double precision", "bigint", "integer", "timestamp(3)"
_AS_THEY_ARE = {
    _TEXT: (
        *("obs_id", "obs_publisher_did", "obs_creator_did", "dataproduct_type", "o_ucd", "access_url"),
        *("access_format", "target_name", "facility_name", "instrument_name", "proposal_id", "s_region"),
        *("em_filter_name", "pol_states", "obs_collection"),
    ),
    _DOUBLE: (
        *("s_ra", "s_fov", "s_resolution", "s_resolution_min", "s_resolution_max", "s_pixel_scale"),
        *("t_min", "t_max", "t_exptime", "t_resolution"),
        *("em_min", "em_max", "em_res_power", "em_res_power_min", "em_res_power_max"),
    ),
    _LONG: ("access_estsize", "s_xel1", "s_xel2", "t_xel", "em_xel", "pol_xel"),
    _INT: ("calib_level",),
    _TIME: ("obs_release_date", "obs_creation_date"),
}
# The names of other configurations are those of daf_butler's own spatial plug-in.
_GEOMETRY = (
    SourceColumn("pgs_region", "public.spoly", ("pgs_region", "pgsphere_region")),
    SourceColumn("pgs_center", "public.spoint", ("pgs_center", "pgsphere_position")),
)
# What may not be in a part of a URI becomes an underscore.
_IN_URI = r"regexp_replace({}, '[^A-Za-z0-9._~:+-]', '_', 'g')"
_LABEL = (
    "coalesce(substring(s.obs_publisher_did FROM '[?&]repo=([^&#]+)'), "
    "substring(s.obs_publisher_did FROM '^butler://([^/]+)'), 'repository')"
)

CAOM = Product(
    name="caom2",
    columns=(
        SourceColumn("planeid", "uuid", ("registry_dataset_id",)),
        SourceColumn("visit", _TEXT, VISITS),
        *(SourceColumn(name, kind, (name,)) for kind, names in _AS_THEY_ARE.items() for name in names),
        *_GEOMETRY,
    ),
    derived=MappingProxyType(
        {
            "collection": (_TEXT, _IN_URI.replace("{}", "s.obs_collection")),
            "observation_id": (
                _TEXT,
                _IN_URI.replace("{}", "coalesce(s.instrument_name || '-' || s.visit, s.obs_id)"),
            ),
            "product_id": (_TEXT, "s.planeid::text"),
            "observation_uri": (_TEXT, "'caom:' || s.collection || '/' || s.observation_id"),
            "plane_uri": (_TEXT, "s.observation_uri || '/' || s.product_id"),
            "obsid": ("uuid", "md5(s.observation_uri)::uuid"),
            "artifact_uri": (_TEXT, f"'butler://' || {_LABEL} || '/' || s.planeid"),
        }
    ),
    views=MappingProxyType(
        {
            (SCHEMA, "observation"): "caom2.observation",
            (SCHEMA, "plane"): "caom2.plane",
            (SCHEMA, "artifact"): "caom2.artifact",
            (SCHEMA, "provenanceinput"): "caom2.provenanceinput",
        }
    ),
)
"""Observations, planes, artifacts and inputs."""
