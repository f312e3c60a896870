"""Which columns each kind has."""

from __future__ import annotations

from klab.cli.printers import cluster, config, network, pods, workloads
from klab.cli.printers.table import DEFAULT, Columns

TABLES: dict[str, Columns] = {**pods.TABLES, **workloads.TABLES, **network.TABLES, **cluster.TABLES, **config.TABLES}


def columns_of(kind: str) -> Columns:
    """Give the columns of a kind; name and age for one that has none of its own."""
    return TABLES.get(kind, DEFAULT)
