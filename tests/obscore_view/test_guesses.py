"""What a first configuration guesses from names, without a database."""

from __future__ import annotations

import pytest
import yaml

from obscore_view.first_config import RegisteredType, RegistryContent, first_config


def configuration(instrument: str, dataset_type: str) -> str:
    """Return the first configuration of a registry with one instrument and one dataset type."""
    one = RegisteredType(dataset_type, "ExposureF", ("instrument", "visit"), is_calibration=False, datasets=1)
    runs = (("run", {dataset_type: 1}),)
    return first_config(RegistryContent("butler", (instrument,), (), (one,), runs, ()))


@pytest.mark.parametrize(
    ("instrument", "facility"),
    [
        ("LSSTCam", "Rubin:Simonyi"),
        ("LATISS", "Rubin:1.2m"),
        ("HSC", "Subaru"),
        ("DECam", "Blanco"),
        ("NoSuchCam", "UNKNOWN"),
    ],
)
def test_the_telescope_of_an_instrument_is_known(instrument: str, facility: str) -> None:
    assert yaml.safe_load(configuration(instrument, "raw"))["facility_name"] == facility


@pytest.mark.parametrize(
    ("dataset_type", "level", "why"),
    [
        ("raw", 1, "raw is what the camera wrote"),
        ("deep_coadd", 3, "its name says coadd"),
        ("warp_pair", 2, "its name says warp"),
        ("calexp", 2, "its name says calibrated image"),
        ("r_thumbnail", 1, "its name says preview"),
    ],
)
def test_a_dataset_type_is_guessed_from_its_name(dataset_type: str, level: int, why: str) -> None:
    text = configuration("HSC", dataset_type)
    assert yaml.safe_load(text)["dataset_types"][dataset_type]["calib_level"] == level
    assert why in text
