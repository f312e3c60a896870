"""The process of a lab's control plane: `python -m klab.apiserver LAB`, started by `klab up`."""

from __future__ import annotations

import os
import sys

from klab.kernel.rundir import RunDir
from klab.runtime.launch import launch_runtime


def main() -> None:
    """Start the container runtime beside us, then become the control plane of the lab named on the command line."""
    rundir = RunDir(sys.argv[1])
    starting = launch_runtime(rundir.path, rundir.owner)
    # The HTTP library reads all of the machine's certificate authorities when it is imported, for a client that nobody uses here: 50 ms.
    os.environ["SSL_CERT_FILE"] = os.devnull
    from klab.apiserver.process import run  # noqa: PLC0415 (the runtime starts meanwhile)

    starting.communicate()  # if it failed, the control plane's own attempt tells why
    run(rundir)


if __name__ == "__main__":
    main()
