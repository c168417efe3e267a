"""What the columns of CAOM2 mean, for TAP_SCHEMA: CADC's names, utypes of the model."""

from collections.abc import Iterator

from tapdb.errors import Place
from tapdb.hooks.descriptions import ColumnDescription, KeyDescription, SchemaDescription, TableDescription

_PLACE = Place("prompt_products")
_SCHEMA = "caom2"

_Row = tuple[str, str, str | None, str | None, str]
# Name, datatype, unit, UCD, description; one column a line: it is a table.
# ruff: noqa: E501
# fmt: off
_STAMPS: tuple[_Row, ...] = (
    ("lastModified", "timestamp", None, "time.processing", "When it was made (UTC)"),
    ("maxLastModified", "timestamp", None, "time.processing", "When it or what belongs to it was made last (UTC)"),
    ("metaChecksum", "char", None, "meta.checksum", "Checksum of its metadata; not computed"),
    ("accMetaChecksum", "char", None, "meta.checksum", "Checksum of its metadata and those of what belongs to it; not computed"),
    ("metaProducer", "char", None, "meta.id", "What produced the metadata"),
)
_OBSERVATION: tuple[_Row, ...] = (
    ("observationURI", "char", None, "meta.ref.uri;meta.main", "URI of the observation: caom:COLLECTION/OBSERVATIONID"),
    ("collection", "char", None, "meta.id", "Collection; obs_collection of ObsCore"),
    ("observationID", "char", None, "meta.id;obs", "Identifier in the collection: instrument and visit, or obs_id of ObsCore where there is no visit"),
    ("algorithm_name", "char", None, "meta.id", "exposure, or combination for products of several observations"),
    ("type", "char", None, "meta.code.class", "Type of the observation"),
    ("intent", "char", None, "meta.code.class", "science if its products have a place on the sky, else calibration"),
    ("sequenceNumber", "int", None, "meta.id", "Number of the observation"),
    ("metaRelease", "timestamp", None, "time.release", "When its metadata are public (UTC)"),
    ("proposal_id", "char", None, "meta.id;obs.proposal", "Proposal or programme"),
    ("proposal_pi", "char", None, "meta.id.PI", "Principal investigator"),
    ("proposal_project", "char", None, "meta.id", "Project"),
    ("proposal_title", "char", None, "meta.title", "Title of the proposal"),
    ("proposal_keywords", "char", None, "meta.note", "Keywords of the proposal"),
    ("target_name", "char", None, "meta.id;src", "Field or object"),
    ("target_targetID", "char", None, "meta.id;src", "Identifier of the target"),
    ("target_type", "char", None, "src.class", "field or object"),
    ("target_standard", "int", None, "meta.code", "Whether it is a standard: 1, or 0"),
    ("target_redshift", "double", None, "src.redshift", "Redshift of the target"),
    ("target_moving", "int", None, "meta.code", "Whether it moves: 1, or 0"),
    ("target_keywords", "char", None, "meta.note", "Keywords of the target"),
    ("targetPosition_coordsys", "char", None, "pos.frame", "Frame of the target position"),
    ("targetPosition_equinox", "double", "yr", "time.equinox", "Equinox of the target position"),
    ("targetPosition_coordinates_cval1", "double", "deg", "pos.eq.ra", "Target position, first coordinate"),
    ("targetPosition_coordinates_cval2", "double", "deg", "pos.eq.dec", "Target position, second coordinate"),
    ("telescope_name", "char", None, "meta.id;instr.tel", "Telescope"),
    ("telescope_geoLocationX", "double", "m", "pos.geocentric", "Geocentric place of the telescope, X"),
    ("telescope_geoLocationY", "double", "m", "pos.geocentric", "Geocentric place of the telescope, Y"),
    ("telescope_geoLocationZ", "double", "m", "pos.geocentric", "Geocentric place of the telescope, Z"),
    ("telescope_keywords", "char", None, "meta.note", "Keywords of the telescope"),
    ("requirements_flag", "char", None, "meta.code.qual", "Flag of unmet requirements"),
    ("instrument_name", "char", None, "meta.id;instr", "Instrument"),
    ("instrument_keywords", "char", None, "meta.note", "Keywords of the instrument"),
    ("environment_seeing", "double", "arcsec", "instr.obsty.seeing", "Seeing"),
    ("environment_humidity", "double", None, "obs.atmos.humidity", "Relative humidity"),
    ("environment_elevation", "double", "deg", "pos.az.alt", "Elevation"),
    ("environment_tau", "double", None, "phys.absorption.opticalDepth", "Opacity of the sky at zenith"),
    ("environment_wavelengthTau", "double", "m", "em.wl", "Wavelength of the opacity"),
    ("environment_ambientTemp", "double", "Celsius", "phys.temperature", "Temperature of the air"),
    ("environment_photometric", "int", None, "meta.code", "Whether it was photometric: 1, or 0"),
    ("members", "char", None, "meta.ref.uri", "URIs of the observations that it was made of"),
    ("typeCode", "char", None, "meta.code.class", "S: simple, D: derived from others"),
    ("obsID", "uuid", None, "meta.id", "UUID of the observation"),
    *_STAMPS,
)
_PLANE: tuple[_Row, ...] = (
    ("productID", "char", None, "meta.id", "Identifier in the observation: UUID of the dataset"),
    ("publisherID", "char", None, "meta.ref.ivoid", "Publisher DID of the dataset"),
    ("planeURI", "char", None, "meta.ref.uri;meta.main", "URI of the plane: caom:COLLECTION/OBSERVATIONID/PRODUCTID"),
    ("creatorID", "char", None, "meta.ref.ivoid", "Creator DID of the dataset"),
    ("metaRelease", "timestamp", None, "time.release", "When its metadata are public (UTC)"),
    ("dataRelease", "timestamp", None, "time.release", "When its data are public (UTC)"),
    ("dataProductType", "char", None, "meta.code.class", "Type of the data product"),
    ("calibrationLevel", "int", None, "meta.code;obs.calib", "Calibration level, 0 to 4"),
    ("observable_ucd", "char", None, "meta.ucd", "UCD of what is measured"),
    ("provenance_name", "char", None, "meta.id", "Task that made it, if its provenance is loaded"),
    ("provenance_reference", "char", None, "meta.ref.uri", "Page about the task"),
    ("provenance_version", "char", None, "meta.version", "Version of the task"),
    ("provenance_project", "char", None, "meta.id", "Project of the task"),
    ("provenance_producer", "char", None, "meta.id", "Who ran it"),
    ("provenance_runID", "char", None, "meta.id", "RUN collection of its outputs"),
    ("provenance_lastExecuted", "timestamp", None, "time.processing", "When it was run"),
    ("provenance_keywords", "char", None, "meta.note", "Keywords of the task"),
    ("provenance_inputs", "char", None, "meta.ref.uri", "URIs of the planes that it was made of, with spaces between"),
    ("metrics_sourceNumberDensity", "double", "deg**-2", "src.density", "Number density of sources"),
    ("metrics_background", "double", None, "instr.background", "Background"),
    ("metrics_backgroundStddev", "double", None, "instr.background", "Standard deviation of the background"),
    ("metrics_fluxDensityLimit", "double", None, "phot.flux.density", "Flux density at which the signal is five times the noise"),
    ("metrics_magLimit", "double", "mag", "phot.mag", "Magnitude at which the signal is five times the noise"),
    ("metrics_sampleSNR", "double", None, "stat.snr", "Signal to noise of a sample"),
    ("quality_flag", "char", None, "meta.code.qual", "junk, or NULL"),
    ("position_bounds", "polygon", "deg", "pos.outline;obs.field", "Covered region, ICRS: a polygon"),
    ("position_bounds_area", "double", "deg**2", "phys.angArea;obs.field", "Area of the covered region"),
    ("position_bounds_size", "double", "deg", "phys.angSize;obs.field", "Diameter of a circle that contains the covered region"),
    ("position_dimension_naxis1", "long", None, "meta.number", "Pixels along the first axis"),
    ("position_dimension_naxis2", "long", None, "meta.number", "Pixels along the second axis"),
    ("position_resolution", "double", "arcsec", "pos.angResolution", "Resolution: FWHM of the point spread function"),
    ("position_resolutionBounds_lower", "double", "arcsec", "pos.angResolution", "Best resolution within it"),
    ("position_resolutionBounds_upper", "double", "arcsec", "pos.angResolution", "Worst resolution within it"),
    ("position_sampleSize", "double", "arcsec", "phys.angSize;instr.pixel", "Size of a pixel"),
    ("position_timeDependent", "int", None, "meta.code", "Whether the position depends on time: 1, or 0"),
    ("energy_energyBands", "char", None, "em", "Parts of the spectrum, with | between"),
    ("energy_bounds_lower", "double", "m", "em.wl", "Shortest wavelength, in vacuum"),
    ("energy_bounds_upper", "double", "m", "em.wl", "Longest wavelength, in vacuum"),
    ("energy_bounds_width", "double", "m", "em.wl", "Width in wavelength"),
    ("energy_dimension", "long", None, "meta.number", "Samples along the spectral axis"),
    ("energy_resolvingPower", "double", None, "spect.resolution", "Resolving power"),
    ("energy_resolvingPowerBounds_lower", "double", None, "spect.resolution", "Lowest resolving power within it"),
    ("energy_resolvingPowerBounds_upper", "double", None, "spect.resolution", "Highest resolving power within it"),
    ("energy_sampleSize", "double", "m", "em.wl", "Size of a sample in wavelength"),
    ("energy_bandpassName", "char", None, "meta.id;instr.filter", "Band"),
    ("energy_transition_species", "char", None, "phys.atmol.element", "Species of a transition"),
    ("energy_transition_transition", "char", None, "phys.atmol.transition", "Transition"),
    ("energy_freqWidth", "double", "Hz", "em.freq", "Width in frequency"),
    ("energy_freqSampleSize", "double", "Hz", "em.freq", "Size of a sample in frequency"),
    ("energy_restwav", "double", "m", "em.wl", "Rest wavelength of a transition"),
    ("time_bounds_lower", "double", "d", "time.start;obs.exposure", "Start, MJD (UTC)"),
    ("time_bounds_upper", "double", "d", "time.end;obs.exposure", "End, MJD (UTC)"),
    ("time_bounds_width", "double", "d", "time.duration", "From start to end"),
    ("time_dimension", "long", None, "meta.number", "Samples along the time axis"),
    ("time_resolution", "double", "s", "time.resolution", "Resolution in time"),
    ("time_sampleSize", "double", "d", "time.interval", "Size of a sample in time"),
    ("time_exposure", "double", "s", "time.duration;obs.exposure", "Exposure time"),
    ("polarization_states", "char", None, "meta.code;phys.polarization", "Polarization states"),
    ("polarization_dimension", "long", None, "meta.number", "Samples along the polarization axis"),
    ("obsID", "uuid", None, "meta.id", "UUID of the observation"),
    ("planeID", "uuid", None, "meta.id", "UUID of the plane: that of the dataset"),
    *_STAMPS,
)
_ARTIFACT: tuple[_Row, ...] = (
    ("uri", "char", None, "meta.ref.uri;meta.main", "URI of the file: butler://REPOSITORY/UUID"),
    ("productType", "char", None, "meta.code.class", "science or auxiliary"),
    ("releaseType", "char", None, "meta.code.class", "Whether it is released with data or meta"),
    ("contentType", "char", None, "meta.code.mime", "Media type; NULL where the ObsCore view gives that of its DataLink document"),
    ("contentLength", "long", "byte", "phys.size;meta.file", "Estimated size"),
    ("contentChecksum", "char", None, "meta.checksum", "Checksum of the file; not known"),
    ("contentRelease", "timestamp", None, "time.release", "When the file is public (UTC)"),
    ("contentReadGroups", "char", None, "meta.id", "Groups that may read it before"),
    ("metaRelease", "timestamp", None, "time.release", "When its metadata are public (UTC)"),
    ("obsID", "uuid", None, "meta.id", "UUID of the observation"),
    ("planeID", "uuid", None, "meta.id", "UUID of the plane"),
    ("artifactID", "uuid", None, "meta.id", "UUID of the artifact"),
    *_STAMPS,
)
_INPUT: tuple[_Row, ...] = (
    ("outputID", "uuid", None, "meta.id", "UUID of the plane that was made"),
    ("inputID", "char", None, "meta.ref.uri", "URI of a plane that it was made of"),
)
_TABLES: dict[str, tuple[str, tuple[_Row, ...], tuple[tuple[str, str], ...]]] = {
    "Observation": ("Observations", _OBSERVATION, ()),
    "Plane": ("Planes: the products of observations", _PLANE, (("obsID", "Observation"),)),
    "Artifact": ("Artifacts: the files of planes", _ARTIFACT, (("planeID", "Plane"),)),
    "ProvenanceInput": ("Planes and the planes that they were made of", _INPUT, ()),
}
# fmt: on
_HIDDEN = frozenset({"position_bounds_points", "position_bounds_center", "position_bounds_samples"})
_TYPES: dict[str, tuple[str, str | None, str | None]] = {
    "char": ("char", "*", None),
    "uuid": ("char", "36", "uuid"),
    "timestamp": ("char", "*", "timestamp"),
    "polygon": ("double", "*", "polygon"),
}


def description_of_caom() -> SchemaDescription:
    """Return the description of the views of CAOM2."""
    return SchemaDescription(
        name=_SCHEMA,
        description="Observations, planes and artifacts: the Common Archive Observation Model 2.4",
        utype="caom2",
        tables=tuple(
            TableDescription(
                name=name,
                description=about,
                utype=f"caom2:{name}",
                columns=tuple(_columns(name, rows)),
                keys=tuple(
                    KeyDescription(
                        name=f"caom2_{name.lower()}_{column.lower()}",
                        columns=(column,),
                        target_schema=_SCHEMA,
                        target_table=target,
                        target_columns=(column,),
                        description=f"The {target.lower()} that it belongs to",
                        place=_PLACE,
                    )
                    for column, target in keys
                ),
                hidden=_HIDDEN,
                place=_PLACE,
            )
            for name, (about, rows, keys) in _TABLES.items()
        ),
        place=_PLACE,
    )


def _columns(table: str, rows: tuple[_Row, ...]) -> Iterator[ColumnDescription]:
    for name, kind, unit, ucd, about in rows:
        datatype, arraysize, xtype = _TYPES.get(kind, (kind, None, None))
        yield ColumnDescription(
            name=name,
            datatype=datatype,
            arraysize=arraysize,
            xtype=xtype,
            unit=unit,
            ucd=ucd,
            utype=f"caom2:{table}.{name.replace('_', '.')}",
            description=about,
            principal=not name.startswith(("meta", "acc")),
            place=_PLACE,
        )
