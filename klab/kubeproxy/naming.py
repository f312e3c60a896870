"""Names of chains, sets and maps, hashed as kube-proxy hashes them, so that a chain here is called what it is called on a real cluster."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

from klab.api.endpointslice import PortEndpoint
from klab.kubeproxy.ports import ServicePortInfo

_NFT_NAME_LIMIT = 240  # knftables.NameLengthMax less the longest prefix


@lru_cache(maxsize=65536)
def base32_hash(text: str, length: int) -> str:
    """Give the first letters of the base32 of the SHA-256 of `text`."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:length]


def chain(prefix: str, info: ServicePortInfo) -> str:
    """Name an iptables chain of a service port: KUBE-SVC-XXXXXXXXXXXXXXXX for the prefix SVC (28 characters at most)."""
    return f"KUBE-{prefix}-{base32_hash(info.name + info.proto, 16)}"


def endpoint_chain(info: ServicePortInfo, endpoint: PortEndpoint) -> str:
    """Name the KUBE-SEP- chain of one endpoint of a service port."""
    return f"KUBE-SEP-{base32_hash(info.name + info.proto + str(endpoint), 16)}"


def nft_name(prefix: str, info: ServicePortInfo) -> str:
    """Name an nftables chain of a service port: service-ULMVA6XW-ns1/svc1/tcp/p80."""
    return f"{prefix}-{_hashed(_nft_base(info))}"


def nft_endpoint_name(prefix: str, info: ServicePortInfo, endpoint: PortEndpoint) -> str:
    """Name an nftables chain or set of an endpoint: endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80 (colons of IPv6 become dots)."""
    address = endpoint.ip.replace(":", ".")
    return f"{prefix}-{_hashed(f'{_nft_base(info)}__{address}/{endpoint.port}')}"


def _nft_base(info: ServicePortInfo) -> str:
    return f"{info.namespace}/{info.service}/{info.proto}/{info.port_name}"


def _hashed(name: str) -> str:
    full = f"{base32_hash(name, 8)}-{name}"
    return full if len(full) <= _NFT_NAME_LIMIT else f"{full[: _NFT_NAME_LIMIT - 3]}..."
