"""Walkers that send a packet through planned rules, and the makers of services and endpoints that the tests share."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from klab.api.endpointslice import EndpointSlice, port_endpoints
from klab.api.service import Service
from klab.kubeproxy.config import ProxyConfig, ProxyNode
from klab.kubeproxy.plan import plan_base, plan_service
from klab.linux.iptables import Chain, Rule
from klab.linux.nft import NftChain, NftElement
from klab.linux.objects import KernelObject

NODE_IP = "172.18.0.2"
VIPS = ("198.51.100.7",)  # a load balancer address that the node carries itself


@dataclass(frozen=True)
class Packet:
    src: str
    dst: str
    protocol: str
    dport: int
    mark: int = 0
    translated: bool = False

    @property
    def to(self) -> str:
        return f"{self.dst}:{self.dport}"


@dataclass(frozen=True)
class Fate:
    """Where a packet may end: the address it is delivered to or REJECT or DROP, and whether its source is masqueraded."""

    end: str
    masqueraded: bool = False


Verdict = tuple[Packet, str]  # ACCEPT, DROP, REJECT, MASQUERADE, RETURN


class Walker:
    """Takes every branch that chance may take; what a packet meets at each hook is said by the two subclasses."""

    local = frozenset({NODE_IP, "127.0.0.1", *VIPS})

    def is_local(self, address: str) -> bool:
        return address in self.local

    def hook(self, name: str, packet: Packet) -> Iterator[Verdict]:
        raise NotImplementedError

    def fates(self, src: str, dst: str, dport: int, protocol: str = "tcp") -> set[Fate]:
        """Send from a process on the node, or from anywhere else through it."""
        packet = Packet(src, dst, protocol, dport)
        hooks = ("output",) if self.is_local(src) else ("prerouting",)
        return set(self._continue(packet, hooks))

    def _continue(self, packet: Packet, hooks: Sequence[str]) -> Iterator[Fate]:
        if not hooks:
            yield Fate(packet.to)
            return
        first, *rest = hooks
        for after, verdict in self.hook(first, packet):
            if verdict in ("DROP", "REJECT"):
                yield Fate(verdict)
            elif verdict == "MASQUERADE":
                yield Fate(after.to, masqueraded=True)
            elif first == "prerouting":
                yield from self._continue(after, ("input",) if self.is_local(after.dst) else ("forward", "postrouting"))
            elif first == "output":
                yield from self._continue(after, ("input",) if self.is_local(after.dst) else ("postrouting",))
            else:
                yield from self._continue(after, rest)


class IptablesWalker(Walker):
    FLAGS = frozenset({"--random-fully", "--set", "--reap", "--rsource", "--rcheck"})
    OPTIONS = frozenset({"-s", "-d", "-p", "-m", "-j", "--dport", "--comment", "--mode", "--name", "--mask", "--seconds", "--dst-type"}) | frozenset(
        {"--src-type", "--ctstate", "--mark", "--probability", "--to-destination", "--set-xmark", "--reject-with"}
    )

    def __init__(self, objects: Iterable[KernelObject]) -> None:
        self.chains: dict[tuple[str, str], list[str]] = {}
        shared: dict[tuple[str, str], list[Rule]] = {}
        for item in objects:
            if isinstance(item, Chain):
                self.chains[item.table, item.name] = list(item.rules)
            elif isinstance(item, Rule):
                shared.setdefault((item.table, item.chain), []).append(item)
        for place, rules in shared.items():
            self.chains[place] = [rule.text for rule in sorted(rules, key=lambda rule: rule.order)]

    def hook(self, name: str, packet: Packet) -> Iterator[Verdict]:
        tables = {"prerouting": ("nat",), "output": ("nat", "filter"), "input": ("filter",), "forward": ("filter",), "postrouting": ("nat",)}[name]
        yield from self._tables(tables, name.upper(), packet)

    def _tables(self, tables: Sequence[str], chain: str, packet: Packet) -> Iterator[Verdict]:
        first, *rest = tables
        for after, verdict in self._walk(first, chain, packet):
            if rest and verdict not in ("DROP", "REJECT"):
                yield from self._tables(rest, chain, after)
            else:
                yield after, verdict

    def _walk(self, table: str, chain: str, packet: Packet) -> Iterator[Verdict]:
        yield from self._rules(table, self.chains.get((table, chain), []), packet)

    def _rules(self, table: str, rules: Sequence[str], packet: Packet) -> Iterator[Verdict]:
        if not rules:
            yield packet, "RETURN"
            return
        first, rest = rules[0], rules[1:]
        matches, chance, target, argument = self._read(first, packet)
        if chance or not matches:
            yield from self._rules(table, rest, packet)
        if not matches:
            return
        if target == "DNAT":
            address, _colon, port = argument.rpartition(":")
            yield replace(packet, dst=address, dport=int(port), translated=True), "ACCEPT"
        elif target == "MARK":
            value, mask = (int(number, 16) for number in argument.split("/"))
            yield from self._rules(table, rest, replace(packet, mark=(packet.mark & ~mask) ^ value))
        elif target in ("ACCEPT", "DROP", "REJECT", "MASQUERADE", "RETURN"):
            yield packet, target
        elif not target:
            yield from self._rules(table, rest, packet)
        else:
            for after, verdict in self._walk(table, target, packet):
                if verdict == "RETURN":
                    yield from self._rules(table, rest, after)
                else:
                    yield after, verdict

    def _read(self, rule: str, packet: Packet) -> tuple[bool, bool, str, str]:
        """Give whether the rule matches, whether by chance, its target and the target's argument."""
        options = list(_options(rule))
        words = {option: argument for _negated, option, argument in options}
        matches = all(self._holds(option, argument, packet) != negated for negated, option, argument in options)
        argument = words.get("--to-destination") or words.get("--set-xmark") or ""
        return matches, "--probability" in words, words.get("-j", ""), argument

    def _holds(self, option: str, argument: str, packet: Packet) -> bool:
        match option:
            case "-s" | "-d":
                return ipaddress.ip_address(packet.src if option == "-s" else packet.dst) in ipaddress.ip_network(argument)
            case "-p" | "--dport":
                return argument in (packet.protocol, str(packet.dport))
            case "--dst-type" | "--src-type":
                return self.is_local(packet.dst if option == "--dst-type" else packet.src)
            case "--ctstate":
                return bool(({"NEW"} | ({"DNAT"} if packet.translated else set())) & set(argument.split(",")))
            case "--mark":
                value, mask = (int(number, 16) for number in argument.split("/"))
                return packet.mark & mask == value
            case _:
                return option != "--rcheck"  # nobody has been here before


def _options(rule: str) -> Iterator[tuple[bool, str, str]]:
    """Yield the options of a rule: whether negated, the flag, its argument."""
    words = shlex.split(rule)
    negated = False
    while words:
        word = words.pop(0)
        if word == "!":
            negated = True
        elif word in IptablesWalker.FLAGS:
            yield negated, word, ""
            negated = False
        else:
            assert word in IptablesWalker.OPTIONS, f"an option that the walker does not know: {word} in {rule}"
            yield negated, word, words.pop(0)
            negated = False


class NftWalker(Walker):
    HOOKS: ClassVar = {
        "prerouting": ("filter-prerouting", "nat-prerouting"),
        "input": ("filter-input",),
        "forward": ("filter-forward",),
        "output": ("filter-output", "nat-output", "filter-output-post-dnat"),
        "postrouting": ("nat-postrouting",),
    }

    def __init__(self, objects: Iterable[KernelObject]) -> None:
        self.chains: dict[str, tuple[str, ...]] = {}
        self.sets: dict[str, dict[str, str]] = {}
        for item in objects:
            if isinstance(item, NftChain):
                self.chains[item.name] = item.rules
            elif isinstance(item, NftElement):
                self.sets.setdefault(item.set, {})[item.element] = item.value

    def hook(self, name: str, packet: Packet) -> Iterator[Verdict]:
        yield from self._chains(self.HOOKS[name], packet)

    def _chains(self, chains: Sequence[str], packet: Packet) -> Iterator[Verdict]:
        first, *rest = chains
        for after, verdict in self._rules(self.chains[first], packet):
            if rest and verdict not in ("DROP", "REJECT"):
                yield from self._chains(rest, after)
            else:
                yield after, verdict

    def _rules(self, rules: Sequence[str], packet: Packet) -> Iterator[Verdict]:
        if not rules:
            yield packet, "RETURN"
            return
        text = re.sub(r' comment "[^"]*"$', "", rules[0])
        for after, verdict in self._statements(text, packet):
            if verdict == "CONTINUE":
                yield from self._rules(rules[1:], after)
            elif verdict.startswith("jump "):
                for later, outcome in self._rules(self.chains[verdict[5:]], after):
                    if outcome == "RETURN":
                        yield from self._rules(rules[1:], later)
                    else:
                        yield later, outcome
            elif verdict.startswith("goto "):
                yield from self._rules(self.chains[verdict[5:]], after)
            else:
                yield after, verdict

    def _statements(self, text: str, packet: Packet) -> Iterator[Verdict]:
        """Carry out one rule; CONTINUE where it does not match or ends without a verdict."""
        while text:
            found, handler = next(
                ((found, handler) for pattern, handler in self.STATEMENTS if (found := re.match(pattern + r"(?: |$)", text))), (None, None)
            )
            assert handler, f"a statement that the walker does not know: {text}"
            result = handler(self, packet, *found.groups())
            if isinstance(result, list):
                yield from result
                return
            if result is False:
                break
            packet = result if isinstance(result, Packet) else packet
            text = text[found.end() :]
        yield packet, "CONTINUE"

    def _verdict(self, packet: Packet, name: str, element: str) -> list[Verdict] | bool:
        verdict = self.sets.get(name, {}).get(element)
        return [(packet, {"drop": "DROP"}.get(verdict, verdict))] if verdict else False

    def _in(self, address: str, text: str) -> bool:
        if text.startswith("@"):
            return address in self.sets.get(text[1:], {})
        return any(ipaddress.ip_address(address) in ipaddress.ip_network(part) for part in text.strip("{ }").split(", "))

    STATEMENTS: ClassVar[tuple[tuple[str, Callable[..., Any]], ...]] = (
        (r"ct state new", lambda self, packet: True),
        (r"ip daddr \. meta l4proto \. th dport vmap @(\S+)", lambda self, p, name: self._verdict(p, name, f"{p.dst} . {p.protocol} . {p.dport}")),
        (r"meta l4proto \. th dport vmap @(\S+)", lambda self, p, name: self._verdict(p, name, f"{p.protocol} . {p.dport}")),
        (r"meta mark set meta mark \| (\S+)", lambda self, p, mark: replace(p, mark=p.mark | int(mark, 16))),
        (r"meta mark set meta mark \^ (\S+)", lambda self, p, mark: replace(p, mark=p.mark ^ int(mark, 16))),
        (r"meta mark & (\S+) == 0x00000000", lambda self, p, mark: not p.mark & int(mark, 16)),
        (r"meta l4proto (tcp|udp|sctp)", lambda self, p, protocol: p.protocol == protocol),
        (r"(tcp|udp|sctp) dport (\d+)", lambda self, p, protocol, port: p.protocol == protocol and p.dport == int(port)),
        (r"ip daddr != (\{[^}]*\}|\S+)", lambda self, p, text: not self._in(p.dst, text)),
        (r"ip saddr != (\{[^}]*\}|\S+)", lambda self, p, text: not self._in(p.src, text)),
        (r"ip daddr (\{[^}]*\}|\S+)", lambda self, p, text: self._in(p.dst, text)),
        (r"ip saddr (\{[^}]*\}|\S+)", lambda self, p, text: self._in(p.src, text)),
        (r"fib daddr type local", lambda self, p: self.is_local(p.dst)),
        (r"fib saddr type local", lambda self, p: self.is_local(p.src)),
        (r"update @\S+ \{ ip saddr \}", lambda self, p: True),
        (r"numgen random mod \d+ vmap \{ (.*) \}", lambda self, p, text: [(p, part.split(" : ")[1]) for part in text.split(", ")]),
        (
            r"dnat to (\S+):(\d+)",
            lambda self, p, address, port: [(replace(p, dst=address, dport=int(port), translated=True), "ACCEPT")],
        ),
        (r"masquerade fully-random", lambda self, p: [(p, "MASQUERADE")]),
        (r"reject", lambda self, p: [(p, "REJECT")]),
        (r"drop", lambda self, p: [(p, "DROP")]),
        (r"return", lambda self, p: [(p, "RETURN")]),
        (r"((?:jump|goto) \S+)", lambda self, p, verdict: [(p, verdict)]),
    )


Endpoint = dict[str, Any]


def endpoint(address: str, node: str = "", **conditions: bool) -> Endpoint:
    return {"addresses": [address], "conditions": conditions, **({"nodeName": node} if node else {})}


def service(name: str, spec: dict[str, Any], *, namespace: str = "default", ingress: Sequence[str] = ()) -> dict[str, Any]:
    status = {"loadBalancer": {"ingress": [{"ip": address} for address in ingress]}}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec, "status": status}


def endpoint_slice(ports: dict[str, tuple[str, int]], endpoints: Sequence[Endpoint]) -> EndpointSlice:
    """Make a slice; `ports` maps a port's name to its protocol and number."""
    listed = [{"name": name, "protocol": protocol, "port": number} for name, (protocol, number) in ports.items()]
    return EndpointSlice.of({"addressType": "IPv4", "ports": listed, "endpoints": list(endpoints)})


@dataclass(frozen=True)
class World:
    """A node with services on it, each an object with its endpoint slices."""

    services: tuple[tuple[dict[str, Any], tuple[EndpointSlice, ...]], ...]
    node: ProxyNode
    config: ProxyConfig

    def objects(self) -> list[KernelObject]:
        planned = list(plan_base(self.node, self.config))
        for obj, slices in self.services:
            planned += plan_service(Service.of(obj), port_endpoints(slices), self.node, self.config)
        return planned

    def walker(self) -> Walker:
        return (IptablesWalker if self.config.mode == "iptables" else NftWalker)(self.objects())


@pytest.fixture
def make() -> type[Make]:
    return Make


class Make:
    """The makers, for tests (which are no packages, and so cannot import each other)."""

    service = staticmethod(service)
    endpoint = staticmethod(endpoint)
    slice = staticmethod(endpoint_slice)
    world = World
    fate = Fate
    node_ip = NODE_IP
    vip = VIPS[0]

    @staticmethod
    def node(**fields: Any) -> ProxyNode:
        return ProxyNode(**{"name": "node1", "netns": "node1", "ip": NODE_IP, "addresses": (NODE_IP,), **fields})
