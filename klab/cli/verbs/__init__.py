"""The verbs, one a module, found by their names: `klab get` is `verbs/get.py`.

A verb module has a docstring whose first sentence is its line in `klab --help`, `SECTION`, the heading it stands under there, and `command`, a
function in typer's terms (or `commands`, several of them, for a verb with sub-verbs like `klab node add`).
"""
