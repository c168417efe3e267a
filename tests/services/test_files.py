"""Files behind signed links: who gets them, which bytes, and what no link leads to."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from stat import S_IFSOCK
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import boto3
import httpx
import pytest
from lsst.daf.butler import DatasetRef
from moto.server import ThreadedMotoServer

from services.errors import FileGoneError, FileRefusedError, LinkRefusedError
from services.files.datastores import Datastores, LocalFile, RemoteFile
from services.files.signing import Signer, write_key
from services.settings import ServiceSettings
from tapdb.errors import SettingsError
from tapdb.hooks.descriptions import DatasetFile
from tests.plugins.service_fixtures import PLAIN, Served, running_service, service_process, wait_for
from tests.plugins.view_fixtures import open_engine
from tests.plugins.web_fixtures import LABEL, Linked, did, links_of

ONE, OTHER = uuid4(), uuid4()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def get(url: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(url, headers=named, verify=PLAIN, timeout=60)


@pytest.fixture(scope="module")
def image(linked: Linked) -> DatasetRef:
    return linked.refs["visit_image"][0]


@pytest.fixture(scope="module")
def link(linked: Linked, image: DatasetRef) -> str:
    return linked.this(image)


@pytest.fixture(scope="module")
def content(linked: Linked, image: DatasetRef) -> bytes:
    return linked.file(image).read_bytes()


# -- signatures
# ----------------------------------------------------------------------------------------------------------


def test_a_signature_is_for_one_file_until_one_time() -> None:
    now = [1000.0]
    signer = Signer(b"k" * 16, 60, lambda: now[0])
    given = signer.parameters(ONE, None)
    assert signer.check(ONE, None, given["expires"], given["signature"]) == 60
    wrong = [
        (OTHER, None, given["expires"], given["signature"]),
        (ONE, "image", given["expires"], given["signature"]),
        (ONE, "", given["expires"], given["signature"]),
        (ONE, None, str(int(given["expires"]) + 1), given["signature"]),
        (ONE, None, f"0{given['expires']}", given["signature"]),
        (ONE, None, given["expires"], given["signature"][:-1]),
        (ONE, None, given["expires"], given["signature"] + "="),
        (ONE, None, given["expires"], "\ud800é"),
        (ONE, None, "", ""),
    ]
    for dataset, component, expires, signature in wrong:
        with pytest.raises(LinkRefusedError, match=r"^the signature of the link is not one of the service"):
            signer.check(dataset, component, expires, signature)
    with pytest.raises(LinkRefusedError, match="signature"):
        Signer(b"l" * 16, 60, lambda: now[0]).check(ONE, None, given["expires"], given["signature"])
    now[0] = 1060.0
    with pytest.raises(LinkRefusedError, match=r"^the link has expired"):
        signer.check(ONE, None, given["expires"], given["signature"])
    assert "k" * 16 not in repr(signer)


@pytest.mark.parametrize("expires", ["٣", "1e9", "-1", "", "9" * 5000])
def test_a_signed_time_that_is_none_is_refused(expires: str) -> None:
    signer = Signer(b"k" * 16, 60)
    with pytest.raises(LinkRefusedError, match="does not say when"):
        signer.check(ONE, None, expires, signer._signature(ONE, None, expires))


def test_processes_with_one_key_know_each_others_links(tmp_path: Path) -> None:
    write_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    settings = ServiceSettings(signing_key_file=tmp_path / "key")
    given = Signer.of_settings(settings).parameters(ONE, "mask")
    assert Signer.of_settings(settings).check(ONE, "mask", given["expires"], given["signature"]) > 0
    assert Signer.of_settings(ServiceSettings()).key != Signer.of_settings(ServiceSettings()).key
    (tmp_path / "short").write_text("secret")
    for name in ("short", "none"):
        with pytest.raises(SettingsError, match=r"^TAPDB_SIGNING_KEY_FILE: ") as raised:
            Signer.of_settings(ServiceSettings(signing_key_file=tmp_path / name))
        assert "secret" not in str(raised.value).replace("a secret of", "")


def forged(link: str, **changes: str) -> str:
    parts = urlsplit(link)
    return parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | changes)).geturl()


def test_forged_expired_and_foreign_links_are_forbidden_and_say_why(linked: Linked, link: str) -> None:
    other = linked.refs["visit_image"][1]
    foreign = Signer(b"another key, not the service's", 60)
    forbidden = {
        forged(link, signature="x"): "signature",
        forged(link, expires="99999999999"): "signature",
        forged(link, component="image"): "signature",
        link.replace(link.split("?", maxsplit=1)[0], f"{linked.served.url}/files/{other.id}"): "signature",
        f"{link.split('?', maxsplit=1)[0]}?{urlencode(foreign.parameters(other.id, None))}": "signature",
    }
    for url, reason in forbidden.items():
        answer = get(url)
        assert (answer.status_code, reason in answer.text) == (403, True), url
        assert "take a new link from /datalink/links" in answer.text
        assert "traceback" not in answer.text.lower()


def test_a_link_expires(linked: Linked, image: DatasetRef) -> None:
    with running_service(
        linked.served.database, datastores=f"{LABEL}={linked.repository.root}", file_seconds=1
    ) as other:
        answer = get(f"{other.url}/files/{image.id}")
        signed = answer.headers["location"]
        while get(signed).status_code == 200:
            pass
        late = get(signed)
    assert (late.status_code, "the link has expired" in late.text) == (403, True)


# -- who may
# ----------------------------------------------------------------------------------------------------------


def test_a_link_without_signature_gets_one_and_never_bytes(
    linked: Linked, image: DatasetRef, content: bytes
) -> None:
    for text in (str(image.id), image.id.hex, str(image.id).upper()):
        answer = get(f"{linked.served.url}/files/{text}")
        assert (answer.status_code, answer.content) == (307, b"")
        assert answer.headers["cache-control"] == "private, no-store"
    assert get(answer.headers["location"]).content == content


def test_a_user_who_has_to_log_in_gets_a_link_that_needs_no_login(
    linked: Linked, image: DatasetRef, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("anna an-anna-token-of-some-length\n")
    settings: dict[str, Any] = {"auth": "token", "token_file": tmp_path / "tokens"}
    with running_service(
        linked.served.database, datastores=f"{LABEL}={linked.repository.root}", **settings
    ) as other:
        url, links = f"{other.url}/files/{image.id}", f"{other.url}/datalink/links"
        login = {"Authorization": "Bearer an-anna-token-of-some-length"}
        for path in (url, links):
            answer = get(path)
            assert (answer.status_code, "WWW-Authenticate" in answer.headers) == (401, True)
        signed = get(url, **login)
        assert signed.status_code == 307
        assert get(signed.headers["location"]).content == content
        rows = links_of(httpx.get(links, params={"ID": did(image.id)}, headers=login, verify=PLAIN).content)
        auth = {row["semantics"]: (row["link_auth"], row["link_authorized"]) for row in rows}
        assert auth["#this"] == ("false", "true")
        assert auth["#derivation"] == ("true", "true")
        capabilities = get(f"{other.url}/datalink/capabilities")
        assert (capabilities.status_code, "securityMethod" in capabilities.text) == (200, True)


def test_a_dataset_that_is_not_published_has_no_link(linked: Linked) -> None:
    hidden, unknown = linked.refs["unpublished"][0].id, uuid4()
    for one in (hidden, unknown):
        answer = get(f"{linked.served.url}/files/{one}")
        assert (answer.status_code, f"there is no published dataset {one}" in answer.text) == (404, True)
    for text in ("x", "..%2f..%2fetc%2fpasswd", f"{hidden}%00", "%2e%2e", "1" * 31):
        assert get(f"{linked.served.url}/files/{text}").status_code == 404


def test_a_signed_link_to_what_is_published_no_more_is_not_served(linked: Linked) -> None:
    signer = Signer(b"k" * 16, 60)
    folder = linked.repository.root.parent
    (folder / "key").write_bytes(signer.key)
    hidden = linked.refs["unpublished"][0].id
    with running_service(
        linked.served.database,
        datastores=f"{LABEL}={linked.repository.root}",
        signing_key_file=folder / "key",
    ) as other:
        assert get(other.url + signer.path(hidden)).status_code == 404
        gone = get(other.url + signer.path(linked.refs["deleted"][0].id))
        assert (gone.status_code, "it was deleted, or never stored" in gone.text) == (410, True)
        (composite,) = linked.refs["composite"]
        wrong = get(other.url + signer.path(composite.id))
        assert (wrong.status_code, "give one of image, mask" in wrong.text) == (400, True)


def test_a_file_is_looked_for_no_longer_than_a_query(linked: Linked, image: DatasetRef) -> None:
    with (
        running_service(linked.served.database, max_seconds=1) as other,
        open_engine(linked.served.database) as engine,
        engine.begin() as connection,
    ):
        connection.exec_driver_sql("LOCK TABLE tapdb.view_definition IN ACCESS EXCLUSIVE MODE")
        answer = httpx.get(f"{other.url}/files/{image.id}", verify=PLAIN, timeout=20)
    assert (answer.status_code, "took longer than the time limit" in answer.text) == (400, True)


def test_workers_of_one_service_know_each_others_links(
    linked: Linked, image: DatasetRef, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPDB_DATASTORES", f"{LABEL}={linked.repository.root}")
    with service_process(linked.served.database, "--workers", "2") as (_, url):
        links = [get(f"{url}/files/{image.id}").headers["location"] for _ in range(4)]
        answers = [get(one) for one in links for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.content for answer in answers} == {content}


# -- bytes
# ----------------------------------------------------------------------------------------------------------


def test_a_file_is_what_butler_has(linked: Linked, image: DatasetRef, link: str, content: bytes) -> None:
    answer = get(link)
    assert (answer.status_code, answer.content) == (200, content)
    facts = {name: answer.headers[name] for name in ("content-type", "content-length", "accept-ranges")}
    assert facts == {
        "content-type": "application/json",
        "content-length": str(len(content)),
        "accept-ranges": "bytes",
    }
    assert answer.headers["content-disposition"] == f'attachment; filename="{linked.file(image).name}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = httpx.head(link, verify=PLAIN)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(content))
    line = linked.served.line(answer)
    assert (line["resource"], line["bytes"]) == ("files", len(content))


def test_components_and_members_of_zips_are_what_butler_has(linked: Linked) -> None:
    (composite,) = linked.refs["composite"]
    with linked.repository.butler() as butler:
        whole = butler.get(composite)
        for component in ("image", "mask"):
            found = get(linked.this(composite, component=component))
            assert found.json() == getattr(whole, component)
        zipped = linked.refs["zipped"]
        assert all(".zip#zip-path=" in str(butler.getURI(ref)) for ref in zipped)
        for ref in zipped:
            link = linked.this(ref)
            answer = get(link)
            assert answer.json() == butler.get(ref)
            assert answer.headers["content-disposition"].endswith('.json"')
            part = get(link, Range="bytes=10-19,-5")
            assert [one.get_payload(decode=True) for one in parts_of(part)] == [
                answer.content[10:20],
                answer.content[-5:],
            ]
    etags = {get(linked.this(ref)).headers["etag"] for ref in zipped}
    assert len(etags) == len(zipped)


def parts_of(answer: httpx.Response) -> list[Any]:
    """Return the parts of an answer as Python's own parser of mail finds them."""
    kind = answer.headers["content-type"].encode()
    message = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + answer.content)
    assert answer.status_code == 206
    assert int(answer.headers["content-length"]) == len(answer.content)
    return list(message.get_payload())


SINGLE = {
    "first byte": ("bytes=0-0", slice(0, 1)),
    "inside": ("bytes=5-9", slice(5, 10)),
    "open end": ("bytes=100-", slice(100, None)),
    "suffix": ("bytes=-7", slice(-7, None)),
    "suffix longer than the file": ("bytes=-999999999", slice(None)),
    "end behind the file": ("bytes=3-99999999999999999999999", slice(3, None)),
    "blanks and case": ("Bytes = 5 - 9", slice(5, 10)),
    "empty elements": ("bytes=,, 5-9 ,", slice(5, 10)),
    "one of two that can be had": ("bytes=5-9,999999999-", slice(5, 10)),
    "touching ones are one": ("bytes=5-9,10-19", slice(5, 20)),
    "overlapping ones are one": ("bytes=15-19,5-16", slice(5, 20)),
}


@pytest.mark.parametrize(("header", "wanted"), SINGLE.values(), ids=SINGLE)
def test_a_range_is_the_bytes_of_it(link: str, content: bytes, header: str, wanted: slice) -> None:
    answer = get(link, Range=header)
    begin, end, _ = wanted.indices(len(content))
    assert (answer.status_code, answer.content) == (206, content[wanted])
    assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{len(content)}"
    assert answer.headers["content-length"] == str(len(answer.content))


def test_several_ranges_come_in_parts_in_their_order(link: str, content: bytes) -> None:
    parts = parts_of(get(link, Range="bytes=100-109, 0-4, -3"))
    assert [part.get_payload(decode=True) for part in parts] == [content[100:110], content[:5], content[-3:]]
    size = len(content)
    assert [part["Content-Range"] for part in parts] == [
        f"bytes 100-109/{size}",
        f"bytes 0-4/{size}",
        f"bytes {size - 3}-{size - 1}/{size}",
    ]
    assert {part["Content-Type"] for part in parts} == {"application/json"}


IGNORED = [
    *("bytes=9-5", "bytes=a-b", "bytes=-", "bytes=", "lines=0-1", "bytes 0-1", "0-1", "bytes=1-2-3"),
    "bytes=" + ",".join(f"{one}-{one}" for one in range(0, 200, 2)),
]


@pytest.mark.parametrize("header", IGNORED)
def test_a_range_that_means_nothing_is_ignored(link: str, content: bytes, header: str) -> None:
    answer = get(link, Range=header)
    assert (answer.status_code, answer.content) == (200, content)


@pytest.mark.parametrize("header", ["bytes=999999999-", "bytes=-0", "bytes=999999-9999999,-0"])
def test_a_range_without_a_byte_is_416(link: str, content: bytes, header: str) -> None:
    answer = get(link, Range=header)
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(content)}"


def test_conditions_are_kept(link: str, content: bytes) -> None:
    whole = get(link)
    etag, modified = whole.headers["etag"], whole.headers["last-modified"]
    early = "Mon, 01 Jan 1990 00:00:00 GMT"
    assert get(link, If_None_Match=f'"x", W/{etag}').status_code == 304
    assert get(link, If_None_Match="*").headers["etag"] == etag
    assert get(link, If_None_Match='"x"').status_code == 200
    assert get(link, If_Modified_Since=modified).status_code == 304
    assert get(link, If_Modified_Since=early).status_code == 200
    assert get(link, If_Match=etag).status_code == 200
    assert get(link, If_Match=f"W/{etag}").status_code == 412
    assert get(link, If_Unmodified_Since=early).status_code == 412
    for far in (early.replace("1990", "9" * 20), early.replace(" 00:", f" {'9' * 20}:")):
        assert get(link, If_Modified_Since=far).status_code == 200
        assert get(link, Range="bytes=0-0", If_Range=far).status_code == 200
    for condition, status in ((etag, 206), (modified, 206), ('"x"', 200), (f"W/{etag}", 200), (early, 200)):
        answer = get(link, Range="bytes=0-4", If_Range=condition)
        assert (answer.status_code, answer.content) == (status, content[:5] if status == 206 else content)
    assert get(link, Range="bytes=0-4", If_None_Match=etag).status_code == 304
    for ranges in ("bytes=0-4", "bytes=99999999-"):  # of GET alone (RFC 9110 section 14.2)
        head = httpx.head(link, headers={"Range": ranges}, verify=PLAIN)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(content)))


@pytest.fixture
def large(linked: Linked, image: DatasetRef, tmp_path: Path) -> Iterator[tuple[Served, str, int]]:
    """Return a service with a file of five gigabytes, all but one byte of which are a hole, and its link."""
    size = 5_000_000_000
    file = tmp_path / linked.file(image).relative_to(linked.repository.root)
    file.parent.mkdir(parents=True)
    with file.open("wb") as stream:
        stream.seek(size - 1)
        stream.write(b"x")
    with running_service(linked.served.database, datastores=f"{LABEL}={tmp_path}") as other:
        yield other, get(f"{other.url}/files/{image.id}").headers["location"], size


def test_a_range_may_lie_behind_four_gigabytes(large: tuple[Served, str, int]) -> None:
    _, link, size = large
    head = httpx.head(link, verify=PLAIN)
    assert head.headers["content-length"] == str(size)
    answer = get(link, Range=f"bytes={size - 3}-")
    assert (answer.status_code, answer.content) == (206, b"\0\0x")
    assert answer.headers["content-range"] == f"bytes {size - 3}-{size - 1}/{size}"
    assert [part.get_payload(decode=True) for part in parts_of(get(link, Range="bytes=0-0,-1"))] == [
        b"\0",
        b"x",
    ]


def test_a_client_that_hangs_up_ends_the_reading_of_its_file(large: tuple[Served, str, int]) -> None:
    other, link, size = large
    parts = urlsplit(link)
    before = open_files()
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as client:
        client.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert len(client.recv(1 << 20)) > 0
        assert not [line for line in other.lines if line.get("bytes")]
    line = wait_for(lambda: next((one for one in other.lines if "error" in one), None))
    assert (line["resource"], line["error"]) == ("files", "the client has closed the connection")
    # Of a client that has taken the headers alone there are none.
    assert line.get("bytes", 0) < size / 10
    wait_for(lambda: open_files() <= before)


# -- places
# ----------------------------------------------------------------------------------------------------------


def stored(path: str, **facts: Any) -> DatasetFile:
    known: dict[str, Any] = {
        "dataset": ONE,
        "repository": "demo",
        "component": None,
        "size": None,
        "checksum": None,
        "content_type": "text/plain",
    }
    return DatasetFile(path=path, **known | facts)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of a datastore, with a file in it and another beside it."""
    inside = tmp_path / "root"
    (inside / "a b").mkdir(parents=True)
    (inside / "a b" / "x%y.txt").write_text("inside")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root-2").mkdir()
    (tmp_path / "root-2" / "other").write_text("other")
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "folder").symlink_to(tmp_path)
    (inside / "good").symlink_to(inside / "a b" / "x%y.txt")
    os.mkfifo(inside / "pipe")
    os.mknod(inside / "socket", S_IFSOCK | 0o600)
    return inside


def read(found: LocalFile | RemoteFile) -> bytes:
    assert isinstance(found, LocalFile)
    try:
        return found.read(0, found.size)
    finally:
        found.close()


def test_a_file_of_the_root_is_found_however_it_is_written(root: Path) -> None:
    stores = Datastores([("demo", str(root))])
    # Butler reads paths of a datastore as parts of a URL.
    places = ["a b/x%25y.txt", "a%20b/x%25y.txt", "good", f"file://{root}/a%20b/x%25y.txt", f"{root}/good"]
    assert {read(stores.find(stored(one), 60)) for one in places} == {b"inside"}
    tags = [stores.find(stored("good", size=size, checksum="abc"), 60) for size in (6, 7)]
    assert len({one.validators.etag for one in tags if isinstance(one, LocalFile)}) == 2
    for one in tags:
        read(one)


OUTSIDE = [
    *("../secret", "a b/../../secret", "..", "%2e%2e/secret", "a b/%2e%2e/%2e%2e/secret", "good\0", "%00"),
    *(
        "link",
        "folder/secret",
        "/etc/passwd",
        "file:///etc/passwd",
        "file://host/etc/passwd",
        "pipe",
        "a b",
        "socket",
    ),
    *(
        "https://example.org/x",
        "s3://bucket/x",
        "good#fragment",
        "../root-2/other",
        "//etc/passwd",
        "./../secret",
    ),
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_file_outside_of_the_root_is_refused_without_saying_where(root: Path, path: str) -> None:
    stores = Datastores([("demo", str(root)), ("other", str(root.parent))])
    with pytest.raises(FileRefusedError) as raised:
        stores.find(stored(path), 60)
    assert str(root.parent) not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_link_to_another_root_of_the_repository_is_followed(root: Path) -> None:
    stores = Datastores([("demo", str(root)), ("demo", str(root.parent / "root-2"))])
    (root / "raw").symlink_to(root.parent / "root-2" / "other")
    assert read(stores.find(stored("raw"), 60)) == b"other"
    assert read(stores.find(stored("other"), 60)) == b"other"


@pytest.mark.parametrize("path", ["gone", "good/x", "x#zip-path=a", "bad#zip-path=a", "circle/x", "n" * 300])
def test_a_file_that_is_gone_is_gone(root: Path, path: str) -> None:
    (root / "bad").write_text("no ZIP")
    (root / "circle").symlink_to("circle")
    with pytest.raises(FileGoneError):
        Datastores([("demo", str(root))]).find(stored(path), 60)


@pytest.mark.parametrize("damage", [b"a.txt", b"0123456789", b"PK\1\2"])
def test_a_zip_that_is_damaged_inside_is_gone(root: Path, damage: bytes) -> None:
    with zipfile.ZipFile(root / "x.zip", "w") as archive:
        archive.writestr("a.txt", "0123456789" * 1000)
    (root / "x.zip").write_bytes((root / "x.zip").read_bytes().replace(damage, b"\xff" * len(damage)))
    before = open_files()
    with pytest.raises(FileGoneError, match="has a"):
        read(Datastores([("demo", str(root))]).find(stored("x.zip#zip-path=a.txt"), 60))
    assert open_files() == before


def test_roots_are_compared_as_they_are_meant(root: Path) -> None:
    (root.parent / "by link").symlink_to(root)
    (root.parent / "circle").symlink_to("circle")
    linked, url = str(root.parent / "by link"), f"file://{root}/a b"
    for roots, path in (
        ([linked], f"{root}/good"),
        ([linked], f"{linked}/good"),
        ([str(root.parent / "circle"), str(root)], "good"),
        ([url], f"{root}/a b/x%25y.txt"),
        ([url], "x%25y.txt"),
    ):
        assert read(Datastores([("demo", one) for one in roots]).find(stored(path), 60)) == b"inside"
    stores = Datastores([("demo", "https://Archive.example.org/a b")])
    for path in ("x%3F.txt", "https://archive.example.org/a%20b/x%3F.txt"):
        assert stores.find(stored(path), 60) == RemoteFile("https://archive.example.org/a%20b/x%3F.txt")


def test_a_zip_of_a_folder_is_read_where_another_root_is_elsewhere(root: Path) -> None:
    with zipfile.ZipFile(root / "x.zip", "w") as archive:
        archive.writestr("a", "member")
    remote, local = ("demo", "s3://bucket/x"), ("demo", str(root))
    for stores in (Datastores([remote, local]), Datastores([local, remote])):
        assert read(stores.find(stored("x.zip#zip-path=a"), 60)) == b"member"
        with pytest.raises(FileRefusedError, match="part of a ZIP that lies elsewhere"):
            stores.find(stored("y.zip#zip-path=a"), 60)


def test_a_member_that_a_zip_lacks_is_gone_and_another_repository_has_none(root: Path) -> None:
    with zipfile.ZipFile(root / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/é b.txt", "0123456789" * 1000)
    stores = Datastores([("demo", str(root))])
    member = stores.find(stored("x.zip#zip-path=a/%C3%A9 b.txt"), 60)
    assert isinstance(member, LocalFile)
    assert (member.name, member.size) == ("é b.txt", 10_000)
    assert (member.read(9995, 5), member.read(3, 4)) == (b"56789", b"3456")
    member.close()
    for path in ("x.zip#zip-path=b", "x.zip#zip-path=../secret", "x.zip#zip-path=/etc/passwd"):
        with pytest.raises(FileGoneError):
            stores.find(stored(path), 60)
    with pytest.raises(FileRefusedError):
        stores.find(stored("good", repository="another"), 60)


def test_a_path_that_leads_out_is_refused_over_http_and_leaves_no_descriptor_open(
    linked: Linked, image: DatasetRef, tmp_path: Path
) -> None:
    open_before = open_files()
    file = linked.file(image)
    with running_service(linked.served.database, datastores=f"{LABEL}={file.parent}") as other:
        signed = get(f"{other.url}/files/{image.id}").headers["location"]
        answers = [get(signed) for _ in range(20)]
    with running_service(linked.served.database, datastores=f"{LABEL}={linked.repository.root}") as other:
        signed = get(f"{other.url}/files/{image.id}").headers["location"]
        moved = file.rename(file.with_suffix(".away"))
        try:
            gone = get(signed)
            (file.parent / file.name).symlink_to("/etc/passwd")
            leading_out = get(signed)
        finally:
            file.unlink(missing_ok=True)
            moved.rename(file)
    assert {answer.status_code for answer in answers} == {410}
    assert (gone.status_code, leading_out.status_code) == (410, 403)
    for answer in (gone, leading_out, *answers):
        assert str(linked.repository.root) not in answer.text
        assert "/etc" not in answer.text
    assert open_files() <= open_before + 5


# -- other servers
# ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3(linked: Linked) -> Iterator[str]:
    """Return the URL of a server of S3 that has the files of the repository in a bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret-of-s3",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="archive")
        for ref in linked.refs["visit_image"]:
            file = linked.file(ref)
            key = f"demo files/{file.relative_to(linked.repository.root)}"
            client.put_object(Bucket="archive", Key=key, Body=file.read_bytes())
        client.close()
        yield names["AWS_ENDPOINT_URL"]
    server.stop()


def test_a_file_on_s3_is_had_by_a_signed_url_that_expires(
    linked: Linked, image: DatasetRef, content: bytes, s3: str
) -> None:
    with running_service(
        linked.served.database, datastores=f"{LABEL}=s3://archive/demo%20files", file_seconds=100
    ) as other:
        signed = get(f"{other.url}/files/{image.id}").headers["location"]
        answer = get(signed)
        assert (answer.status_code, answer.content) == (307, b"")
        location = answer.headers["location"]
        assert location.startswith(f"{s3}/archive/demo%20files/")
        assert "secret-of-s3" not in location
        parameters = {name.lower() for name, _ in parse_qsl(urlsplit(location).query)}
        assert "x-amz-signature" in parameters
        assert get(location).content == content
        assert get(forged(signed, signature="x")).status_code == 403


def signature_of_s3(method: str, url: str, secret: str) -> str:
    """Return the signature that AWS would accept (Signature Version 4, query string of a GET or HEAD)."""
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query))
    query = "&".join(one for one in sorted(parts.query.split("&")) if not one.startswith("X-Amz-Signature"))
    request = (method, parts.path, query, f"host:{parts.netloc}\n", "host", "UNSIGNED-PAYLOAD")
    scope = given["X-Amz-Credential"].partition("/")[2]
    digest = hashlib.sha256("\n".join(request).encode()).hexdigest()
    text = "\n".join(("AWS4-HMAC-SHA256", given["X-Amz-Date"], scope, digest))
    key = f"AWS4{secret}".encode()
    for word in (*scope.split("/"), text):
        key = hmac.digest(key, word.encode(), "sha256")
    return key.hex()


@pytest.mark.parametrize("region", ["us-east-1", "us-west-2", None])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_urls_of_s3_are_signed_for_the_method_in_the_form_of_every_region(
    method: str, region: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-s3")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    if region is not None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    found = Datastores([("demo", "s3://archive/a b")]).find(stored("c+d%25%23%3F é/ü"), 77, method)
    assert isinstance(found, RemoteFile)
    parameters = dict(parse_qsl(urlsplit(found.url).query))
    assert parameters["X-Amz-Expires"] == "77"
    assert parameters["X-Amz-Signature"] == signature_of_s3(method, found.url, "secret-of-s3")
    assert urlsplit(found.url).path.removeprefix("/archive") == "/a%20b/c%2Bd%25%23%3F%20%C3%A9/%C3%BC"


def test_each_profile_of_aws_has_its_own_endpoint_and_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text(
        "".join(
            f"[profile {name}]\nendpoint_url = https://{name.lower()}.example.org\nregion = here\n"
            f"aws_access_key_id = key-{name}\naws_secret_access_key = secret-{name}\n"
            for name in ("Summit", "usdf")
        )
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    stores = Datastores([("demo", "s3://Summit@one/a"), ("demo", "s3://usdf@two/b")])
    for name, path in (("Summit", "c"), ("usdf", "s3://usdf@two/b/c")):
        found = stores.find(stored(path), 60)
        assert isinstance(found, RemoteFile)
        assert found.url.startswith(f"https://{name.lower()}.example.org/")
        parameters = dict(parse_qsl(urlsplit(found.url).query))
        assert parameters["X-Amz-Signature"] == signature_of_s3("GET", found.url, f"secret-{name}")


@pytest.mark.parametrize(
    ("root", "names", "problem"),
    [
        ("s3://bucket/x", {}, "the service has no credentials for its bucket"),
        ("s3://lost@bucket/x", {}, "no link to its bucket can be signed (ProfileNotFound)"),
        (
            "s3://no,bucket/x",
            {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"},
            "(ParamValidationError)",
        ),
        (
            "s3://bucket/x",
            {"AWS_ENDPOINT_URL": "nowhere"},
            "no link to its bucket can be signed (ValueError)",
        ),
    ],
    ids=str,
)
def test_a_bucket_for_which_nothing_can_be_signed_is_refused_without_saying_which(
    root: str, names: dict[str, str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unset = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE")
    for name in unset:
        monkeypatch.delenv(name, raising=False)
    files = {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    for name, value in (files | {"AWS_EC2_METADATA_DISABLED": "true"} | names).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(FileRefusedError) as raised:
        Datastores([("demo", root)]).find(stored("y"), 60)
    assert problem in str(raised.value)
    assert "s3://" not in str(raised.value)


def test_a_file_of_a_web_server_is_had_there(linked: Linked, image: DatasetRef) -> None:
    root = "https://archive.example.org/demo%20files/"
    with running_service(linked.served.database, datastores=f"{LABEL}={root}") as other:
        location = get(get(f"{other.url}/files/{image.id}").headers["location"]).headers["location"]
    assert location == root + str(linked.file(image).relative_to(linked.repository.root))
