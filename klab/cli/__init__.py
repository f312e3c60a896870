"""The command line: `klab VERB ...`, kubectl's words and output where kubectl has them.

A verb is a module of `klab.cli.verbs` with a function `command`; it reads its options, asks the layers below through `klab.cli.backend`, and prints.
Nothing is decided here: no defaulting, no validation, no plan, no knowledge of the kernel. This is the only room with typer and rich, and the
process stays light: verbs are imported when they are called, rich when a bar is drawn, and no event loop or netlink library at all.
Results go to stdout, messages and progress to stderr; a failure is one `error:` line and an exit code of klab.errors, never a traceback.
"""
