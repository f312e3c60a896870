"""IPVS virtual servers and real servers as values (kube-proxy's words; ipvsadm says virtual service and server)."""

from __future__ import annotations

from dataclasses import dataclass

from klab.linux.objects import KernelObject, Key, Qualify

_FLAGS = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _IpvsObject(KernelObject):
    """Common part: what packets are addressed to."""

    protocol: str
    address: str
    port: int

    @property
    def place(self) -> Key:
        """Give the part of a key that names the virtual server."""
        return (self.netns, self.protocol, self.address, str(self.port))

    def words(self, q: Qualify, verb: str) -> str:
        """Give the beginning of a command line."""
        return f"ip netns exec {q(self.netns)} ipvsadm {verb} {_FLAGS[self.protocol]} {joined(self.address, self.port)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServer(_IpvsObject):
    """An address and port that is balanced; `persistence` in seconds, 0 for none; `hash_ports` lets the mh scheduler look at ports too."""

    rank = 9
    scheduler: str = "rr"
    persistence: int = 0
    hash_ports: bool = False

    @property
    def key(self) -> Key:
        """One protocol, address and port."""
        return ("VirtualServer", *self.place)

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Add it."""
        return (f"{self.words(q, '-A')} {self.options}",)

    def change(self, q: Qualify, before: KernelObject) -> tuple[str, ...]:  # noqa: ARG002 (links need it)
        """Edit it."""
        return (f"{self.words(q, '-E')} {self.options}",)

    @property
    def options(self) -> str:
        """Give the end of a command line."""
        return f"-s {self.scheduler}{f' -p {self.persistence}' if self.persistence else ''}{' -b mh-port' if self.hash_ports else ''}"

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Take it out with its real servers."""
        return (self.words(q, "-D"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServer(_IpvsObject):
    """One server behind a virtual one, reached by masquerading (NAT); weight 0 takes no new connections."""

    rank = 10
    real_address: str
    real_port: int
    weight: int = 1

    @property
    def key(self) -> Key:
        """One address and port behind one virtual server."""
        return ("RealServer", *self.place, self.real_address, str(self.real_port))

    @property
    def virtual_key(self) -> Key:
        """Give the key of the virtual server that it stands behind."""
        return ("VirtualServer", *self.place)

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Add it."""
        return (f"{self.words(q, '-a')} -r {joined(self.real_address, self.real_port)} -m -w {self.weight}",)

    def change(self, q: Qualify, before: KernelObject) -> tuple[str, ...]:  # noqa: ARG002 (links need it)
        """Edit it."""
        return (f"{self.words(q, '-e')} -r {joined(self.real_address, self.real_port)} -m -w {self.weight}",)

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Take it out."""
        return (f"{self.words(q, '-d')} -r {joined(self.real_address, self.real_port)}",)


def joined(address: str, port: int) -> str:
    """Give "10.0.0.1:80", "[fd00::1]:80"."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
