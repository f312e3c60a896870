"""TLS certificates out of Secrets, looked at before a program is told to show them: one broken file would stop it from reading all others."""

from __future__ import annotations

import os
import ssl
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any, NoReturn

from klab.errors import KlabError

TLS_CERT, TLS_KEY = "tls.crt", "tls.key"


def read_certificate(secret: Mapping[str, Any]) -> str:
    """Give the certificate chain and the key of a Secret of type kubernetes.io/tls as PEM; KlabError where they are not there or do not fit."""
    meta, data = secret["metadata"], secret.get("data") or {}
    name = f'secret "{meta["namespace"]}/{meta["name"]}"'
    if missing := [key for key in (TLS_CERT, TLS_KEY) if not data.get(key)]:
        raise KlabError(f"{name} has no {' and no '.join(missing)}; make it with `kubectl create secret tls`")
    try:
        pem = b"".join(b64decode(data[key]).rstrip() + b"\n" for key in (TLS_CERT, TLS_KEY))
        text = pem.decode("ascii")
    except (Base64Error, UnicodeDecodeError) as error:
        raise KlabError(f"{name} holds no PEM text: {error}; give it a certificate chain and a private key") from error
    _check(pem, name)
    return text


def _check(pem: bytes, name: str) -> None:
    file = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(file, pem)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(f"/proc/self/fd/{file}", password=_refuse)
    except (ssl.SSLError, OSError, KlabError) as error:
        raise KlabError(f"{name} holds no usable certificate: {error}; give it a certificate chain and the private key that belongs to it") from error
    finally:
        os.close(file)


def _refuse() -> NoReturn:
    raise KlabError("the private key is encrypted")
