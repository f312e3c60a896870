"""What the process of a lab's control plane does: it serves the API and does all the work behind it, until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Mapping
from typing import Any

from klab.apiserver.admission import make_chain
from klab.apiserver.rest import Hooks
from klab.apiserver.server import bind_unix, make_app, serve
from klab.cluster.allocation import ServiceAllocation
from klab.cluster.controlplane import ControlPlane
from klab.cluster.ingress import DefaultIngressClass
from klab.cluster.logs import make_logs
from klab.controlplane.store import Store
from klab.errors import KlabError
from klab.kernel import daemon
from klab.kernel.journal import FileJournal
from klab.kernel.rundir import RunDir

_SETTLE_SECONDS = 0.3


def run(rundir: RunDir) -> None:
    """Run the control plane of a lab until SIGTERM."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    # A thousand pods are half a million long-lived values: looking through them for garbage after every 700 new ones takes a fifth of the time.
    gc.set_threshold(50_000, 20, 50)
    try:
        asyncio.run(_run(rundir))
    except KlabError as error:
        daemon.tell_ready(str(error))
        sys.exit(error.exit_code)


async def _run(rundir: RunDir) -> None:
    rundir.hold_control()
    store = Store(FileJournal(rundir.journal))
    plane = ControlPlane(rundir, store)
    adopted = [line for step in await plane.adopt() for line in step.lines(plane.wiring.qualify)]

    async def settled() -> Mapping[str, Any]:
        try:
            await asyncio.wait_for(plane.idle(), _SETTLE_SECONDS)
        except TimeoutError:
            return {"settled": False, **plane.summary()}
        return {"settled": True, **plane.summary()}

    async def repair() -> Mapping[str, Any]:
        return {"lines": [line for step in await plane.repair() for line in step.lines(plane.wiring.qualify)]}

    async def tell_adopted() -> Mapping[str, Any]:
        return {"lines": adopted}

    extensions = {("GET", "/klab/v1/settled"): settled, ("POST", "/klab/v1/repair"): repair, ("GET", "/klab/v1/adopted"): tell_adopted}
    app = make_app(
        store,
        Hooks(
            admit=make_chain(ServiceAllocation(store, plane.lab), DefaultIngressClass(store, plane.lab)),
            logs=make_logs(rundir, plane.kubelets.is_running),
            extensions=extensions,
        ),
    )
    runner = await serve(app, [bind_unix(rundir.api_socket)])
    daemon.tell_ready()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    work = asyncio.create_task(plane.run())
    await asyncio.wait([work, asyncio.create_task(ended.wait())], return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    await runner.cleanup()
    if work.done() and not work.cancelled():
        work.result()
