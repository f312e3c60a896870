"""Which image does what, by the last word of its repository: `registry.k8s.io/e2e-test-images/agnhost:2.40` is agnhost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from klab.kubelet.images import identity

if TYPE_CHECKING:
    from klab.kubelet.images.behaviour import Behaviour, Launch


def image_name(reference: str) -> str:
    """Give the last word of a reference's repository, without registry, tag and digest."""
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()


def lookup(launch: Launch) -> Behaviour:
    """Give what a container of that image does when no other program is run in it; KlabError where its arguments make no sense.

    Datagrams to declared UDP ports that the image does not serve, and SCTP, are answered with the container's identity.
    """
    return identity.behave(launch)
