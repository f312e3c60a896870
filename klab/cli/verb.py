"""How a verb's module becomes a typer command: found by file name, imported when it is called."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import typer
from typer.core import TyperCommand

from klab.cli import verbs


class Plain:
    """Turns a word of the command line into `make`'s type; typer's own way loads a validation library for 100 ms at every call."""

    def __init__(self, make: type) -> None:
        self.make = make

    def coerce(self, value: Any, param: Any, ctx: typer.Context) -> Any:
        """Convert a word, or each of several; BadParameter if it cannot be one."""
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        try:
            return tuple(map(self.make, value)) if several else self.make(value)
        except ValueError:
            raise typer.BadParameter(f"{value!r} is no {self.make.__name__}", ctx=ctx, param=param) from None


def use_plain_types(params: Iterable[Any]) -> None:
    """Have the words for `params` converted by Plain."""
    for param in params:
        annotation = getattr(getattr(param, "type_descriptor", None), "annotation", None)
        element = annotation if isinstance(annotation, type) else next(iter(getattr(annotation, "__args__", ())), None)
        if element in (str, int, bool):
            param._runtime_param = Plain(element)  # noqa: SLF001 - typer's cache of the converter


class Verb(TyperCommand):
    """One verb."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of a command line."""
        use_plain_types(self.get_params(ctx))
        return super().parse_args(ctx, self._expand_booleans(args))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options; what the words mean is said in the text above them."""
        records = [param.get_help_record(ctx) for param in self.get_params(ctx) if param.param_type_name == "option"]
        with formatter.section("Options"):
            formatter.write_dl([record for record in records if record])

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's signature
        """Write the docstring with its own lines: examples stand one a line."""
        formatter.write("\n" + "".join(f"  {line}".rstrip() + "\n" for line in inspect.cleandoc(self.help or "").splitlines()))

    def _expand_booleans(self, args: Sequence[str]) -> list[str]:
        """Turn kubectl's `--wait=false` and `--force=true` into flags."""
        flags = {name: param for param in self.params if getattr(param, "is_flag", False) for name in param.opts}
        expanded: list[str] = []
        for at, word in enumerate(args):
            name, _, value = word.partition("=")
            if word == "--":
                return [*expanded, *args[at:]]
            if name not in flags or value not in ("true", "false"):
                expanded.append(word)
            elif value == "true":
                expanded.append(name)
            else:
                expanded += flags[name].secondary_opts[:1]
        return expanded


class Verbs(MutableMapping[str, Any]):
    """Verb names -> typer commands, made when asked for."""

    def __init__(self) -> None:
        self._names = tuple(module.name for module in pkgutil.iter_modules(verbs.__path__))
        self._commands: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Import a verb."""
        if name not in self._commands:
            if name not in self._names:
                raise KeyError(name)
            self._commands[name] = _command(name, importlib.import_module(f"klab.cli.verbs.{name}"))
        return self._commands[name]

    def __setitem__(self, name: str, command: Any) -> None:
        """Register a command that is no module."""
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        """Forget a command."""
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        """Walk over the names."""
        return iter(dict.fromkeys((*self._names, *self._commands)))

    def __len__(self) -> int:
        """Count the verbs."""
        return len(set(self))


def _command(name: str, module: ModuleType) -> Any:
    """Make the typer command, or group of commands, of a verb module."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})
    if not hasattr(module, "commands"):
        app.command(name, cls=Verb)(module.command)
        return typer.main.get_command(app)
    app.callback(help=module.__doc__)(lambda: None)
    for command in module.commands:
        app.command(command.__name__.rstrip("_"), cls=Verb)(command)
    group = typer.main.get_command(app)
    group.name = name
    return group


def headline(name: str) -> tuple[str, str]:
    """Read the heading and the summary of a verb from its source: importing all of them takes longer than a reader of `--help` should wait."""
    lines = (Path(verbs.__path__[0]) / f"{name}.py").read_text(encoding="utf-8").splitlines()
    section = next(line for line in lines if line.startswith("SECTION = "))
    return section.removeprefix("SECTION = ").strip('"'), lines[0].strip('"')
