"""Where objects are said to lie, and what a first look at it finds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_kit import KEYS, S3, Proxy, remote
from wherry import limits
from wherry.errors import Refused
from wherry.platforms.s3.claiming import claim, probe
from wherry.platforms.s3.place import Place, credential_files, endpoint_of
from wherry.world import Chance


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://shop", "shop", ""),
        ("s3://shop/", "shop", ""),
        ("s3://shop.example/a", "shop.example", "a/"),
        ("s3://shop-2/a/B_c/", "shop-2", "a/B_c/"),
    ],
)
def test_a_place_is_a_bucket_and_perhaps_a_prefix(url: str, bucket: str, prefix: str) -> None:
    place = Place.of(url, "https://s3.example.com:9000/")
    assert (place.bucket, place.prefix) == (bucket, prefix)
    assert place.endpoint == "https://s3.example.com:9000"
    assert str(place) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    ["", "s3://", "s3:/shop", "https://shop", "s3://sh", "s3://Shop", "s3://shop//a", "s3://shop/..",
     "s3://shop/a b", "s3://shop/a?b", "s3://key:secret@shop/a", "s3://shop/" + "a" * 600],
)  # fmt: skip
def test_what_is_no_place_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="s3://BUCKET"):
        Place.of(url)


@pytest.mark.parametrize(
    "endpoint",
    ["s3.example.com", "ftp://x", "https://", "http://a:b@c", "http://a?b", "http://a:x"],
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(Refused, match="no endpoint"):
        Place.of("s3://shop", endpoint)


def test_the_endpoint_may_come_from_the_usual_variables() -> None:
    assert endpoint_of({"AWS_ENDPOINT_URL": "http://a"}) == "http://a"
    both = {"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://b"}
    assert endpoint_of(both) == "http://b"
    assert endpoint_of({}) == ""


def test_files_with_credentials_are_known() -> None:
    found = credential_files({"AWS_SHARED_CREDENTIALS_FILE": "/app/.aws-keys"})
    assert "/app/.aws-keys" in found
    assert any(path.endswith("/.aws") for path in found)


def test_without_boto3_it_says_what_to_install(tmp_path: Path) -> None:
    """The rest of wherry does not need it: it is imported when objects lie in S3."""
    code = "import sys; sys.modules['boto3'] = None\nfrom wherry.cli import main; main()"
    folder = Path(__file__).parents[1] / "engine" / "apps"
    command = [sys.executable, "-c", code, "run", "shelf:app", "--folder", str(folder)]
    command += ["--port", "0", "--data", str(tmp_path / "data"), "--objects", "s3://shop"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode != 0
    assert "pip install 'wherry[s3]'" in run.stderr + run.stdout


@pytest.fixture
def proxy(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The way to S3."""
    for name, text in KEYS.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setattr(limits, "S3_ATTEMPTS", 1)
    made = Proxy(s3.endpoint)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("verb", "path", "may"),
    [("get", "list-type", "list"), ("put", "probe", "put into"), ("get", "probe", "read"),
     ("delete", "probe", "delete from")],
)  # fmt: skip
def test_a_permission_that_is_missing_is_named(
    s3: S3, proxy: Proxy, verb: str, path: str, may: str
) -> None:
    proxy.harm = lambda head: (
        "403 AccessDenied" if head.startswith(verb) and path in head.split("\r\n")[0] else ""
    )
    with (
        remote(proxy.endpoint, s3.bucket()) as there,
        pytest.raises(Refused, match=f"may not {may} s3://"),
    ):
        probe(there, Chance())


def test_a_place_that_works_is_left_as_it_was_but_for_its_owner(s3: S3, proxy: Proxy) -> None:
    bucket = s3.bucket()
    with remote(proxy.endpoint, bucket) as there:
        probe(there, Chance())
        claim(there, "one", moved=False)
        claim(there, "one", moved=False)
        claim(there, "one", moved=True)
        with pytest.raises(Refused, match="another store"):
            claim(there, "two", moved=False)
    listed = s3.change(lambda one: one.list_objects_v2(Bucket=bucket)["Contents"])
    assert [one["Key"] for one in listed] == ["objects/.wherry/installation"]
