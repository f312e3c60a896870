"""A pod's attachment by real CNI plugins, as a value: what the runtime of a CNI configuration list hands them (CNI specification 1.0.0)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klab.linux.objects import KernelObject, Key, Qualify


@dataclass(frozen=True, slots=True, kw_only=True)
class CniAttachment(KernelObject):
    """The interface `ifname` in `netns`, made by the plugins of `conflist` (JSON text) that run in the node's namespace.

    `arguments` is CNI_ARGS, `capabilities` (JSON text) what goes into runtimeConfig of plugins that declare it, `directory` where the binaries are.
    """

    rank = 9  # its own stage, once the node's links and routes stand
    node: str
    container: str
    conflist: str
    arguments: str
    capabilities: str = "{}"
    ifname: str = "eth0"
    directory: str = "/usr/lib/cni"

    @property
    def key(self) -> Key:
        """One interface of a name."""
        return ("Cni", self.netns, self.ifname)

    @property
    def plugins(self) -> Sequence[str]:
        """Name the plugins in the order in which ADD calls them."""
        return [plugin["type"] for plugin in json.loads(self.conflist)["plugins"]]

    def configuration(self, place: int, previous: Mapping[str, Any] | None) -> dict[str, Any]:
        """Give what the plugin at that place reads from its standard input."""
        conflist = json.loads(self.conflist)
        plugin = conflist["plugins"][place]
        wanted = {name for name, on in (plugin.get("capabilities") or {}).items() if on}
        runtime = {name: value for name, value in json.loads(self.capabilities).items() if name in wanted}
        configuration = {**plugin, "cniVersion": conflist["cniVersion"], "name": conflist["name"]}
        if runtime:
            configuration["runtimeConfig"] = runtime
        if previous is not None:
            configuration["prevResult"] = previous
        return configuration

    def environment(self, command: str, netns_path: str) -> dict[str, str]:
        """Give the variables of a call; command is ADD, DEL or CHECK."""
        return {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": self.container,
            "CNI_NETNS": netns_path,
            "CNI_IFNAME": self.ifname,
            "CNI_ARGS": self.arguments,
            "CNI_PATH": self.directory,
        }

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Call ADD of each plugin, each with the result of the one before."""
        *earlier, last = (self._line(q, "ADD", place) for place in range(len(self.plugins)))
        return (*(f"result=$({line})" for line in earlier), last)

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Call DEL of each plugin, the last one first."""
        return tuple(self._line(q, "DEL", place) for place in reversed(range(len(self.plugins))))

    def _line(self, q: Qualify, command: str, place: int) -> str:
        environment = self.environment(command, f"/run/netns/{q(self.netns)}")
        variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        text = json.dumps(self.configuration(place, None))
        chained = command == "ADD" and place > 0
        words = shlex.quote(f'{text[:-1]}, "prevResult": ') + '"$result"}' if chained else shlex.quote(text)
        return f"echo {words} | {variables} ip netns exec {q(self.node)} {self.directory}/{self.plugins[place]}"
