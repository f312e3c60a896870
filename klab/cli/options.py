"""Options that several verbs have, with kubectl's names."""

from __future__ import annotations

from typing import Annotated

import typer

from klab.cli import complete

Lab = Annotated[str | None, typer.Option("--lab", metavar="NAME", help="The lab to work with; default: the only one.", autocompletion=complete.lab)]
Namespace = Annotated[
    str | None,
    typer.Option("-n", "--namespace", metavar="NAME", help="The namespace to work in; default: default.", autocompletion=complete.namespace),
]
AllNamespaces = Annotated[bool, typer.Option("-A", "--all-namespaces", help="Work in all namespaces.")]
Selector = Annotated[
    str | None,
    typer.Option("-l", "--selector", metavar="QUERY", help="Choose by labels: 'app=web,tier!=db,env in (a,b),x,!y'."),
]
FieldSelector = Annotated[
    str | None, typer.Option("--field-selector", metavar="QUERY", help="Choose by fields: 'status.phase=Running,spec.nodeName!=node1'.")
]
Filenames = Annotated[list[str] | None, typer.Option("-f", "--filename", metavar="FILE", help="A manifest, a folder of manifests, or - for stdin.")]
Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", autocompletion=complete.path),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="KIND[/NAME]", autocompletion=complete.kind_or_name),
]
Output = Annotated[
    str,
    typer.Option(
        "-o",
        "--output",
        metavar="FORMAT",
        help="wide, yaml, json, name, custom-columns=HEADER:.path, jsonpath={.path}.",
        autocompletion=complete.output,
    ),
]
DataOutput = Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="json or yaml.", autocompletion=complete.data_output)]
Container = Annotated[str | None, typer.Option("-c", "--container", metavar="NAME", help="The container; default: the pod's first.")]
DryRun = Annotated[str, typer.Option("--dry-run", metavar="none|server|client", help="Say what would be done, and do nothing.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="Take all objects of the kind in the namespace.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Change the values of keys that are there.")]
ResourceVersion = Annotated[
    str, typer.Option("--resource-version", metavar="VERSION", help="Change the object only if it still has this resourceVersion.")
]
Timeout = Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long to wait: 30s, 2m, 1h30m; 0 is without end.")]
Nodes = Annotated[list[str] | None, typer.Argument(metavar="NODE", autocompletion=complete.node)]
