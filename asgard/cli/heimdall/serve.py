"""`asgard heimdall serve` and `grafana`: pages, metrics and alerts of a cluster, live; a dashboard for Grafana users."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from asgard.cli.command import Which, command
from asgard.cli.heimdall import app
from asgard.cli.heimdall.report import SettingsFile
from asgard.cli.moments import Every, every_seconds
from asgard.core import console, events
from asgard.core.errors import Refused, WrongUsage

LOOPBACK = ("127.0.0.1", "localhost", "::1")
THREADS = 8


@command(app, name="serve", example="asgard heimdall serve --port 8090 --context orders")
def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 8090,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Beyond 127.0.0.1 a token is needed.")
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="A file that holds the token.")
    ] = None,
    every: Every = "10s",
    settings: SettingsFile = None,
    which: Which = Which(),
) -> None:
    """Serve Heimdall's pages, /metrics for Prometheus, /api with OpenAPI and /healthz; collect and evaluate the rules meanwhile.

    Binds to 127.0.0.1; another address needs --token-file. Changes nothing in the cluster.
    """
    from asgard.compose import heimdall, listening
    from asgard.compose.heimdall_web import WatchSource
    from asgard.heimdall import settings as reading

    every_s = every_seconds(every, "1s")
    token = _token(token_file)
    if host not in LOOPBACK and token is None:
        raise Refused(
            f"{host} can be reached by others", "Give a token: --token-file FILE, with a long random text in it."
        )
    given = reading.load(settings)
    chosen = which.pick()
    stop = threading.Event()
    with heimdall.watching(chosen, given) as watch:
        from asgard.heimdall.web.app import create_app

        pages = create_app(WatchSource(watch), token=token, now=time.time)
        server, at = listening.listen(pages, host, port, threads=THREADS, ident=None)
        looking = threading.Thread(
            target=events.carried(heimdall.keep_looking), args=(watch, every_s, stop), name="heimdall", daemon=True
        )
        looking.start()
        console.say(f"Heimdall serves {chosen.name} at http://{host}:{at}/ (Ctrl-C stops it)")
        try:
            server.run()
        finally:
            stop.set()
            server.close()
            looking.join(30)


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        found = file.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"--token-file {file}: {getattr(error, 'strerror', None) or error}") from error
    if len(found) < 16:
        raise WrongUsage(f"--token-file {file}: the token is shorter than 16 characters")
    return found


@command(app, name="grafana", example="asgard heimdall grafana --out grafana")
def grafana(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the two files go.")],
    settings: SettingsFile = None,
) -> None:
    """Write a Grafana dashboard and Prometheus alert rules for the metrics of `heimdall serve`.

    The alert rules are those of heimdall.yaml that metrics can judge, or a sound set where it has none.
    """
    import json

    import yaml

    from asgard.core import paths
    from asgard.heimdall import grafana as made
    from asgard.heimdall import settings as reading

    rules = reading.load(settings).rules
    content = {
        "dashboard.json": json.dumps(made.dashboard(), indent=1) + "\n",
        "alert-rules.yaml": yaml.safe_dump(made.alert_rules(rules), sort_keys=False, width=1000),
    }
    files = paths.write_folder(out, content)
    console.emit({"files": files}, text=f"Import {files[0]} into Grafana; name {files[1]} in Prometheus' rule_files.")
