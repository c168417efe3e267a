"""Units: the same factors as astropy's, for every unit that IN_UNIT knows."""

from __future__ import annotations

import math
import warnings

import astropy.units as u
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adql.units import PREFIXES, UNITS, UnitError, conversion_factor, read_unit

_BASES = [u.m, u.kg, u.s, u.A, u.K, u.mol, u.cd, u.rad]
_OWN = [u.photon, u.ct, u.adu, u.electron, u.pix, u.beam, u.chan, u.bin, u.vox, u.mag, u.bit]


def astropy_factor(text: str) -> float:
    """Return how many base units a unit is, by astropy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(u.Unit(text, format="vounit").decompose(bases=[*_BASES, *_OWN]).scale)


# astropy rounds the debye to 3.33333e-30 C m, and VOUnits has no au and no electron.
@pytest.mark.parametrize("name", sorted(UNITS.keys() - {"D", "au", "electron"}))
def test_a_unit_is_as_large_as_astropy_says(name: str) -> None:
    assert math.isclose(read_unit(name).factor, astropy_factor(name), rel_tol=1e-9)


@pytest.mark.parametrize("prefix", sorted(PREFIXES))
@pytest.mark.parametrize("name", ["m", "Jy", "eV", "s", "pc"])
def test_a_prefix_means_what_astropy_says(prefix: str, name: str) -> None:
    assert math.isclose(read_unit(prefix + name).factor, astropy_factor(prefix + name), rel_tol=1e-9)


@pytest.mark.parametrize(
    ("source", "target", "factor"),
    [
        ("deg", "rad", math.pi / 180),
        ("deg", "arcsec", 3600.0),
        ("mas/yr", "deg/yr", 1 / 3_600_000),
        ("nJy", "Jy", 1e-9),
        ("d", "s", 86_400.0),
        ("km/s", "m.s**-1", 1000.0),
        ("km.s**-1", "m/s", 1000.0),
        ("erg.s**-1.cm**-2.Hz**-1", "Jy", 1e23),
        ("10**-3 Jy", "mJy", 1.0),
        ("(deg)**2", "arcsec**2", 3600.0**2),
        ("deg**2", "sr", (math.pi / 180) ** 2),
        ("m**(1/2)", "mm**0.5", 1000**0.5),
        ("pix", "pixel", 1.0),
        ("kpc", "pc", 1000.0),
        ("1/s", "Hz", 1.0),
        ("/s", "Hz", 1.0),
    ],
)
def test_a_value_is_converted_by_one_factor(source: str, target: str, factor: float) -> None:
    assert math.isclose(conversion_factor(source, target), factor, rel_tol=1e-12)


@given(
    st.sampled_from(["deg", "arcsec", "mas", "rad"]),
    st.sampled_from(["yr", "d", "s", "h", "min"]),
    st.integers(-3, 3),
)
def test_a_compound_unit_is_as_large_as_astropy_says(angle: str, duration: str, power: int) -> None:
    text = f"{angle}.{duration}**{power}"
    assert math.isclose(read_unit(text).factor, astropy_factor(text), rel_tol=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        *("foo", "deg C", "", "deg..s", "deg**", "deg**x", "(deg", "deg)", "deg//s", "m**99999999", "deg_C"),
        *("%", "m" * 300, "m**(1/0)", "deg s )", "10**400 m", "m^", "\N{GREEK SMALL LETTER MU}m"),
    ],
)
def test_what_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(UnitError):
        conversion_factor(text, "deg")


@pytest.mark.parametrize(
    ("source", "target"), [("deg", "kg"), ("deg", ""), ("", "deg"), ("mag", "Jy"), ("10", "deg")]
)
def test_units_of_different_things_are_not_converted(source: str, target: str) -> None:
    with pytest.raises(UnitError):
        conversion_factor(source, target)


@given(st.text(max_size=30))
@example("/0")
@example("m/(0.s)")
def test_any_text_is_a_unit_or_is_refused(text: str) -> None:
    try:
        unit = read_unit(text)
    except UnitError:
        return
    assert math.isfinite(unit.factor)
