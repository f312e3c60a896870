"""How verbs become typer commands: found by file name, imported when called, their failures turned into exit codes."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import typer
from typer.completion import completion_init  # type: ignore[attr-defined] # what Typer(add_completion=True) calls
from typer.core import TyperCommand, TyperGroup

from klab.cli import verbs
from klab.cli.render import print_error
from klab.errors import InvalidManifestError, KlabError

SECTIONS = ("Labs", "Objects", "Inside", "Insight", "This machine")
_INTERRUPTED = 130
_BROKEN_PIPE = 1


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


def _use_plain_types(params: Iterable[Any]) -> None:
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
        _use_plain_types(self.get_params(ctx))
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


def _headline(name: str) -> tuple[str, str]:
    """Read the heading and the summary of a verb from its source: importing all of them takes longer than a reader of `--help` should wait."""
    lines = (Path(verbs.__path__[0]) / f"{name}.py").read_text(encoding="utf-8").splitlines()
    section = next(line for line in lines if line.startswith("SECTION = "))
    return section.removeprefix("SECTION = ").strip('"'), lines[0].strip('"')


class VerbGroup(TyperGroup):
    """The `klab` command: its verbs, and what becomes of their failures."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": None})
        self.commands = Verbs()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options before the verb."""
        _use_plain_types(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the verbs."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's signature
        """Write the verbs under their headings, each with the first sentence of its module."""
        rows: dict[str, list[tuple[str, str]]] = {section: [] for section in SECTIONS}
        for name in self.commands:
            section, summary = _headline(name)
            rows[section].append((name, summary))
        for section, found in rows.items():
            if found:
                with formatter.section(section):
                    formatter.write_dl(found)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and leave the process with its exit code."""
        del complete_var, standalone_mode, windows_expand_args
        if "_KLAB_COMPLETE" in os.environ:
            completion_init()
        code = self._run(sys.argv[1:] if args is None else args, prog_name or "klab", extra)
        sys.exit(_flush(code))

    def _run(self, args: Sequence[str], prog_name: str, extra: dict[str, Any]) -> int:
        try:
            return int(super().main(args, prog_name, standalone_mode=False, **extra) or 0)
        except KeyboardInterrupt:
            return _INTERRUPTED
        except Exception as error:  # noqa: BLE001 - the one place where every failure ends
            if os.environ.get("KLAB_DEBUG"):
                traceback.print_exc()
            return report(error)


def report(error: BaseException) -> int:
    """Say on stderr what went wrong; give the exit code."""
    match error:
        case InvalidManifestError():
            for fault in error.faults:
                print_error(str(fault))
            if len(error.faults) > 1:
                print_error(f"{len(error.faults)} faults found; nothing was changed")
            return error.exit_code
        case KlabError():
            print_error(str(error))
            return error.exit_code
        case typer.TyperException():
            print_error(error.format_message())
            _print_usage(getattr(error, "ctx", None))
            return error.exit_code
        case PermissionError():
            print_error(f"{error.strerror}: {error.filename}; klab works as root: sudo klab ...")
            return 4
        case _:
            print_error(f"internal error: {type(error).__name__}: {error}; run it again with KLAB_DEBUG=1 for the traceback")
            return 1


def _print_usage(ctx: Any) -> None:
    if ctx is not None:
        print_error(f"{ctx.get_usage()}\nTry '{ctx.command_path} --help' for help.", prefix="")


def _flush(code: int) -> int:
    """Write what is buffered; a reader that went away (`klab get pods | head`) is no failure worth words."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    return code
