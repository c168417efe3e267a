"""Dataset identifiers against daf_butler's own reading of them, in Python and in SQL."""

from __future__ import annotations

from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst.daf.butler import Butler

from examples.lsstcam import Pair
from obscore_view import data_id, parse_did
from obscore_view.errors import IdentifierError, UnknownDatasetError
from obscore_view.identifiers import DatasetIdentifier
from tapdb.errors import TapdbError

ID = UUID("019c2c62-4b56-7f3d-8d30-3a4dd23c5b3c")
IVO = f"ivo://org.rubinobs/usdac/lsst-dp1?repo=dp1&id={ID}"

ACCEPTED = (
    IVO,
    f"ivo://org.rubinobs/lsst-dp1?id={ID}&repo=dp1",
    f"ivo://org.rubinobs/lsst-dp1?x=1&id={ID}&repo=dp1&y=2&z",
    f"ivo://org.rubinobs?repo=dp1&id={ID.hex}",
    f"IVO://org.rubinobs/lsst-dp1?repo=dp1&id={str(ID).upper()}",
    f"ivo://org.rubinobs/lsst-dp1?repo=/repo/main&id={ID}",
    f"ivo://org.rubinobs/lsst-dp1?repo=%2Frepo%2Fmain&id={ID}",
    f"ivo://org.rubinobs/lsst-dp1?repo=a+b&id={ID}",
    f"butler://dp1/{ID}",
    f"butler://dp1/{ID.hex}",
)
REFUSED = (
    "",
    "ivo://",
    f"ivo:///lsst-dp1?repo=dp1&id={ID}x",
    f"ivo://org.rubinobs/lsst-dp1?repo=dp1&id={ID}x",
    f"ivo://org.rubinobs/lsst-dp1?repo=dp1&id={ID.hex[:-1]}",
    f"ivo://org.rubinobs/lsst-dp1?id={ID}",
    "ivo://org.rubinobs/lsst-dp1?repo=dp1",
    f"ivo://org.rubinobs/lsst-dp1?repo=dp1&repo=dp2&id={ID}",
    f"ivo://org.rubinobs/lsst-dp1?repo=dp1&id={ID}&id={ID}",
    f"ivo://org.rubinobs/lsst-dp1?repo=&id={ID}",
    f"ivo://org.rubinobs/lsst-dp1#repo=dp1&id={ID}",
    f"https://org.rubinobs/lsst-dp1?repo=dp1&id={ID}",
    f"butler://{ID}",
    f"butler://dp1/{ID}/more",
    str(ID),
)
# What daf_butler reads and nobody writes.
STRICTER = (
    f"ivo:///lsst-dp1?repo=dp1&id={ID}",
    f"ivo://org.rubinobs/lsst-dp1?repo=dp1&id={{{ID}}}",
    f"ivo://org.rubinobs/lsst-dp1?repo=dp1&id={ID}#raw",
)


def butler_reads(did: str) -> tuple[str, UUID]:
    parsed = Butler.parse_dataset_uri(did)
    return parsed.label, parsed.dataset_id


def in_sql(connection: sa.Connection, did: str | None) -> UUID | None:
    return connection.scalar(
        sa.select(sa.func.tapdb.dataset_uuid(sa.literal(did, sa.Text()), type_=sa.Uuid()))
    )


@pytest.mark.parametrize("did", ACCEPTED)
def test_an_identifier_is_read_as_butler_reads_it(did: str, view_connection_readonly: sa.Connection) -> None:
    parsed = parse_did(did)
    assert (parsed.label, parsed.uuid) == butler_reads(did)
    assert in_sql(view_connection_readonly, did) == ID


@pytest.mark.parametrize("did", ACCEPTED)
def test_an_identifier_may_be_percent_encoded_as_a_whole(
    did: str, view_connection_readonly: sa.Connection
) -> None:
    encoded = quote(did, safe="")
    assert parse_did(encoded) == parse_did(did)
    assert in_sql(view_connection_readonly, encoded) == ID


def test_whatever_is_percent_encoded_is_read_and_what_no_identifier_may_have_is_refused(
    view_connection_readonly: sa.Connection,
) -> None:
    every = "".join(f"%{ord(one):02x}" if number > len("ivo") else one for number, one in enumerate(IVO))
    every = every.replace("ivo:", "ivo%3A")
    assert parse_did(every) == parse_did(IVO)
    assert in_sql(view_connection_readonly, every) == ID
    for wrong in ("%02", "%7f", "%20", "%c3%a9", "%ff"):
        did = quote(IVO, safe="").replace("repo", f"repo{wrong}")
        with pytest.raises(IdentifierError):
            parse_did(did)
        assert in_sql(view_connection_readonly, did) is None


@pytest.mark.parametrize("did", REFUSED)
def test_what_butler_refuses_is_refused(did: str, view_connection_readonly: sa.Connection) -> None:
    with pytest.raises(ValueError, match=r"."):
        butler_reads(did)
    with pytest.raises(IdentifierError, match="is no dataset identifier") as caught:
        parse_did(did)
    assert isinstance(caught.value, TapdbError)
    assert caught.value.exit_code == 2
    assert in_sql(view_connection_readonly, did) is None


@pytest.mark.parametrize("did", STRICTER)
def test_what_is_no_identifier_of_rubins_is_refused(
    did: str, view_connection_readonly: sa.Connection
) -> None:
    assert butler_reads(did)[1] == ID
    with pytest.raises(IdentifierError):
        parse_did(did)
    assert in_sql(view_connection_readonly, did) is None


@settings(max_examples=50)
@given(
    authority=st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True),
    path=st.from_regex(r"([a-z0-9._-]+(/[a-z0-9._-]+)*)?", fullmatch=True),
    label=st.text(st.characters(categories=("L", "M", "N", "P", "S")), min_size=1, max_size=20),
    uuid=st.uuids(),
)
def test_an_identifier_that_is_written_is_read_back(
    authority: str, path: str, label: str, uuid: UUID
) -> None:
    for identifier in (
        DatasetIdentifier(authority, path, label, uuid),
        DatasetIdentifier("", "", label, uuid),
    ):
        assert parse_did(str(identifier)) == identifier
    written = str(DatasetIdentifier(authority, path, label, uuid))
    assert butler_reads(written) == (label, uuid)


@settings(max_examples=200)
@given(
    did=st.text(
        st.characters(categories=("L", "M", "N", "P", "S", "Z", "Cc"), exclude_characters="\0"), max_size=60
    )
    | st.builds(
        lambda text, start, size, new: text[:start] + new + text[start + size :],
        st.sampled_from(ACCEPTED + tuple(quote(one, safe="") for one in ACCEPTED)),
        st.integers(0, 100),
        st.integers(0, 3),
        st.text(st.sampled_from("abcdef0129&?=/#: %-\n'\\é"), max_size=2),
    )
)
def test_sql_and_python_agree_on_any_text_and_sql_never_fails(
    view_connection_readonly: sa.Connection, did: str
) -> None:
    try:
        expected = parse_did(did).uuid
    except IdentifierError:
        expected = None
    assert in_sql(view_connection_readonly, did) == expected


def test_sql_gives_null_for_null(view_connection_readonly: sa.Connection) -> None:
    assert in_sql(view_connection_readonly, None) is None


def test_every_identifier_that_the_view_emits_leads_back_to_its_dataset(
    view_connection_readonly: sa.Connection,
) -> None:
    columns = "obs_publisher_did, registry_dataset_id, tapdb.dataset_uuid(obs_publisher_did)"
    query = sa.select(sa.text(columns)).select_from(sa.text("ivoa.obscore"))
    rows = view_connection_readonly.execute(query).all()
    assert len(rows) > 100
    for did, uuid, found in rows:
        assert butler_reads(did) == ("demo", uuid)
        assert parse_did(did) == DatasetIdentifier("org.rubinobs", "usdac/lsst-demo", "demo", uuid)
        assert found == uuid


def test_the_reader_may_call_the_function_and_a_lookup_uses_an_index(
    view_connection_readonly: sa.Connection,
) -> None:
    connection = view_connection_readonly
    connection.execute(sa.text("SET LOCAL ROLE tapdb_reader"))
    connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
    explain = "EXPLAIN SELECT obs_id FROM ivoa.obscore WHERE registry_dataset_id = tapdb.dataset_uuid(:did)"
    rows = connection.execute(sa.text(explain), {"did": IVO})
    plan = "\n".join(rows.scalars())
    assert "dataset_uuid" not in plan
    # How often, depends on how many branches this version of PostgreSQL finds empty beforehand.
    assert f"Index Cond: (dataset_id = '{ID}'::uuid)" in plan
    assert "Seq Scan on dataset_tags" not in plan


def test_a_data_id_is_what_butler_says(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair
) -> None:
    with view_pair_readonly.plain.butler() as butler:
        for name in ("raw", "visit_image", "deep_coadd", "run_manifest", "night_report"):
            ref = butler.query_datasets(name, collections="*", find_first=False)[0]
            found = data_id(view_connection_readonly, f"ivo://org.rubinobs/x?repo=demo&id={ref.id}")
            assert (found.uuid, found.dataset_type, found.run) == (ref.id, name, ref.run)
            assert dict(found.dimensions) == dict(ref.dataId.required)
            assert found.registry_schema in {"plain", "live"}


def test_an_unknown_dataset_is_a_lookup_error_that_names_the_registries(
    view_connection_readonly: sa.Connection,
) -> None:
    with pytest.raises(LookupError, match="live, plain") as caught:
        data_id(view_connection_readonly, f"butler://demo/{uuid4()}")
    assert isinstance(caught.value, UnknownDatasetError)
