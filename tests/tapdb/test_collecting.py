"""The search for garbage is put off, and what the caller has told the collector stays as it was."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from tapdb.collecting import without_collecting


class Knot:
    """An object that holds itself."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leave the collector as it was found."""
    assert gc.isenabled()
    gc.collect()
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_searched_until_the_block_ends() -> None:
    with without_collecting():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_ends_it_too() -> None:
    with pytest.raises(LookupError), without_collecting():
        raise LookupError
    assert gc.isenabled()


def test_a_collector_that_the_caller_has_disabled_stays_disabled() -> None:
    gc.disable()
    with without_collecting():
        pass
    assert not gc.isenabled()


def test_one_block_inside_of_another_does_not_end_it() -> None:
    with without_collecting():
        with without_collecting():
            pass
        assert not gc.isenabled()


def test_what_the_caller_has_frozen_stays_frozen() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    assert frozen > 1000
    with without_collecting():
        made = [[number] for number in range(100)]
    assert gc.get_freeze_count() >= frozen - len(made)
    assert gc.isenabled()


def test_what_was_made_is_among_the_oldest_and_none_of_it_is_frozen() -> None:
    with without_collecting():
        made = [[number] for number in range(100)]
        assert id(made[0]) in {id(one) for one in gc.get_objects(generation=0)}
    assert id(made[0]) in {id(one) for one in gc.get_objects(generation=2)}
    assert gc.get_freeze_count() == 0


def test_garbage_that_was_made_is_found_later() -> None:
    with without_collecting():
        knot = weakref.ref(Knot())
    assert knot() is not None
    gc.collect()
    assert knot() is None
