"""Secrets with certificates."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from klab.cluster.certificates import read_certificate
from klab.errors import KlabError

pytestmark = pytest.mark.needs("openssl")

Pair = tuple[bytes, bytes]


def make_pair(folder: Path, *options: str) -> Pair:
    """Make a self-signed certificate and its key."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "30"]
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "crt")]
    subprocess.run(["openssl", "req", "-x509", *curve, "-subj", "/CN=test", *files, *options], check=True, capture_output=True)
    return (folder / "crt").read_bytes(), (folder / "key").read_bytes()


def secret(**data: bytes | str) -> dict[str, object]:
    encoded = {key.replace("_", "."): value if isinstance(value, str) else b64encode(value).decode() for key, value in data.items()}
    return {"metadata": {"namespace": "default", "name": "tls"}, "data": encoded}


def test_the_chain_and_the_key_come_in_one_text(tmp_path: Path) -> None:
    crt, key = make_pair(tmp_path, "-nodes")
    assert read_certificate(secret(tls_crt=crt, tls_key=key)) == (crt + key).decode()


def test_what_no_program_could_show_is_refused(tmp_path: Path) -> None:
    crt, key = make_pair(tmp_path, "-nodes")
    other, _ = make_pair(tmp_path, "-nodes")
    locked_crt, locked_key = make_pair(tmp_path, "-passout", "pass:secret")
    for data, fault in (
        (secret(), r'secret "default/tls" has no tls\.crt and no tls\.key'),
        (secret(tls_crt=crt), r"has no tls\.key"),
        (secret(tls_crt="a", tls_key=key), "no PEM text"),
        (secret(tls_crt=b"\xff\xfe", tls_key=key), "no PEM text"),
        (secret(tls_crt=b"nonsense", tls_key=key), "no usable certificate"),
        (secret(tls_crt=other, tls_key=key), "no usable certificate"),
        (secret(tls_crt=locked_crt, tls_key=locked_key), "the private key is encrypted"),
    ):
        with pytest.raises(KlabError, match=fault):
            read_certificate(data)
