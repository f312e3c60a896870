"""Runs CNI plugins: ADD, CHECK and DEL in the node's network namespace, and keeps each attachment's result (CNI specification 1.0.0, section 4).

RESULTS/CONTAINER.json holds the attachment as it was asked for and what ADD answered; it is there exactly as long as the attachment.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from klab.errors import KlabError, MissingError
from klab.kernel import netns
from klab.kernel.sandbox import run_in
from klab.linux.cni import CniAttachment
from klab.linux.diff import Operation

_SPURIOUS = "could not check ipv6 dnat"
"""What the CHECK of portmap up to 1.1 says of a pod that has no IPv6 address (containernetworking/plugins#819)."""


class Plugins:
    """The attachments of one lab; namespaces are files of `netns`, results files of `results`."""

    def __init__(self, netns: Path, results: Path) -> None:
        """Work on two directories of the lab's run directory."""
        self._netns = netns
        self._results = results

    def apply(self, operations: Sequence[Operation]) -> None:
        """Attach and detach; an attachment that changes is made anew."""
        for step in operations:
            if isinstance(step.before, CniAttachment):
                self.detach(step.before)
            if isinstance(step.object, CniAttachment):
                (self.detach if step.verb == "delete" else self.attach)(step.object)

    def attach(self, item: CniAttachment) -> None:
        """Call ADD of all plugins, each with the result of the one before; KlabError in the plugin's words, after what was done is undone.

        What is left of a former attachment of the container goes first.
        """
        self._results.mkdir(mode=0o700, exist_ok=True)
        if self.result(item.container) is not None:
            self.detach(item)
        result: dict[str, Any] | None = None
        try:
            for place in range(len(item.plugins)):
                result = json.loads(self._call(item, "ADD", place, result))
        except BaseException:
            with contextlib.suppress(KlabError):
                self._delete(item, result)
            raise
        text = json.dumps({"attachment": dataclasses.asdict(item), "result": result})
        temporary = self._file(item.container).with_suffix(".new")
        temporary.write_text(text)
        temporary.rename(self._file(item.container))

    def detach(self, item: CniAttachment) -> None:
        """Call DEL of all plugins; one that was never attached is fine, as the specification demands."""
        self._delete(item, self.result(item.container))
        self._file(item.container).unlink(missing_ok=True)

    def observe(self, wanted: CniAttachment) -> CniAttachment | None:
        """Give the attachment as it was made, if it is whole."""
        try:
            stored = json.loads(self._file(wanted.container).read_text())
        except FileNotFoundError:
            return None
        item = CniAttachment(**stored["attachment"])
        return item if self._is_whole(item, stored["result"]) else None  # what is damaged is attached anew

    def result(self, container: str) -> dict[str, Any] | None:
        """Give what ADD answered, None where the container is not attached."""
        try:
            found: dict[str, Any] = json.loads(self._file(container).read_text())["result"]
        except FileNotFoundError:
            return None
        return found

    def addresses(self, container: str) -> tuple[str, ...]:
        """Give a container's addresses, without prefix lengths."""
        return _addresses(self.result(container) or {})

    def _file(self, container: str) -> Path:
        return self._results / f"{container}.json"

    def _delete(self, item: CniAttachment, result: Mapping[str, Any] | None) -> None:
        """Call DEL of all plugins, whatever one of them says; KlabError is the last of those that failed."""
        with contextlib.ExitStack() as calls:
            for place in range(len(item.plugins)):
                calls.callback(self._call, item, "DEL", place, result)

    def _is_whole(self, item: CniAttachment, result: Mapping[str, Any]) -> bool:
        """Ask all plugins' CHECK, unless the configuration list says that it is not to be trusted."""
        if json.loads(item.conflist).get("disableCheck"):
            return True
        for place in range(len(item.plugins)):
            try:
                self._call(item, "CHECK", place, result)
            except KlabError as error:
                if _SPURIOUS not in str(error) or any(":" in address for address in _addresses(result)):
                    return False
        return True

    def _call(self, item: CniAttachment, command: str, place: int, previous: Mapping[str, Any] | None) -> str:
        name = item.plugins[place]
        program = find(item.directory, name)
        path = self._netns / item.netns
        environment = {"PATH": os.environ.get("PATH", os.defpath), **item.environment(command, str(path) if path.exists() else "")}
        text = json.dumps(item.configuration(place, previous))

        def call() -> subprocess.CompletedProcess[str]:
            return subprocess.run([str(program)], input=text, env=environment, capture_output=True, text=True, check=False)

        node = self._netns / item.node
        # What a plugin keeps elsewhere, an address for one, is released even where the node is gone.
        done = netns.in_new(call) if command == "DEL" and not netns.exists(node) else run_in(node, call)
        if done.returncode:
            raise KlabError(f"plugin type={name!r} failed ({command.lower()}): {_reason(done)}")
        return done.stdout


def find(directory: str, name: str) -> Path:
    """Give the path of a CNI plugin; MissingError with the command that installs the usual ones."""
    program = Path(directory, name)
    if not program.exists():
        raise MissingError(f"the CNI plugin {program} is not there: `apt-get install containernetworking-plugins`, or set spec.network.cniBin")
    return program


def _addresses(result: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(entry["address"].split("/")[0] for entry in result.get("ips") or ())


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Take a plugin's words out of its error answer."""
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return done.stderr.strip() or f"exit code {done.returncode}"
    return ": ".join(part for part in (answer.get("msg"), answer.get("details")) if part)
