"""The portal on a port, until it is stopped."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

from asgard.bifrost.gate import Bifrost
from asgard.bifrost.web import streams
from asgard.bifrost.web.site import EXTENSION, Proxy
from asgard.compose import listening, web_heimdall
from asgard.compose.web import PortalWork, check_address, create_app
from asgard.core import events
from asgard.core.errors import Interrupted

THREADS = 8 + streams.MOST


def serve(
    gate: Bifrost,
    host: str,
    port: int,
    *,
    url: str | None = None,
    proxies: tuple[str, ...] = (),
    header: str | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM; a running queue is finished first."""
    check_address(host, url)
    proxy = Proxy(proxies, header or "") if proxies else None
    work = PortalWork()
    lookouts = [web_heimdall.Lookout(gate, environment) for environment in gate.directory.environments]
    blueprints, links = web_heimdall.beside(lookouts)
    app = create_app(gate, work, url=url or f"http://{host}:{port}", proxy=proxy, beside=blueprints, links=links)
    logging.getLogger("waitress").setLevel(logging.ERROR)
    # The application judges proxy headers: it knows which addresses may send them.
    server, at = listening.listen(app, host, port, threads=THREADS, ident="asgard", clear_untrusted_proxy_headers=False)
    work.start(app.extensions[EXTENSION])

    told: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        app.extensions[EXTENSION].streams.end()  # the server waits for its threads
        if number == signal.SIGTERM:
            told.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
    events.note(f"the portal is at {url or f'http://{host}:{at}'}/ (Ctrl-C stops it)")
    for lookout in lookouts:
        lookout.start()
    try:
        server.run()  # returns when interrupted
    finally:
        server.close()
        for lookout in lookouts:
            lookout.stop()
        work.stop()
    if not told:  # Ctrl-C; a service manager's SIGTERM is a normal end
        raise Interrupted("the portal was stopped")
