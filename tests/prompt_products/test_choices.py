"""What is a template, where the night is read, in which colours bands are drawn: tables to add to."""

from __future__ import annotations

import pytest

from prompt_products.coverage.keeping import DIFFERENCES, IMAGES, NIGHTS, TEMPLATES, observed_statement
from prompt_products.coverage.maps import BANDS, band_colour


@pytest.mark.parametrize("dataset_type", [*TEMPLATES, *DIFFERENCES, *IMAGES])
def test_a_dataset_type_is_one_of_image_difference_and_template(dataset_type: str) -> None:
    assert [dataset_type in kind for kind in (TEMPLATES, DIFFERENCES, IMAGES)].count(True) == 1


@pytest.mark.parametrize("column", NIGHTS)
def test_the_night_is_read_from_a_column_that_has_it(column: str) -> None:
    statement = observed_statement(["observation", "t_min", column], 12.0)
    assert (
        f'coalesce(o."{column}"::integer, tapdb.night(o."t_min"::double precision, 12.0)) AS day_obs'
        in statement
    )
    assert statement.endswith("FROM %s o")


@pytest.mark.parametrize("band", BANDS)
def test_a_band_has_a_colour_of_its_own(band: str) -> None:
    assert [other for other in BANDS if band_colour(other) == band_colour(band)] == [band]
    assert band_colour("unheard of") not in BANDS.values()
