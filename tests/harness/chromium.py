"""A headless Chromium that looks at pages: what it complains about, what it asks of the network, and what axe finds."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SIZES = ((1280, 800), (390, 844))
SCHEMES = ("light", "dark")


@dataclass
class Seen:
    """What a page did while it was open. `complaints`: console errors and warnings, uncaught exceptions. `asked`: URLs of other origins."""

    page: Any
    origin: str
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """Rules of axe that the page breaks, with the elements."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response
        assert len(found["passes"]) > 5, "axe looked at the page"
        return [f"{v['id']}: {[n['html'][:200] for n in v['nodes'][:3]]}" for v in found["violations"]]

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@contextmanager
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright. Skips the test where it is not installed, and says so."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(started: Any, url: str, size: tuple[int, int] = SIZES[0], scheme: str = "light") -> Iterator[Seen]:
    """A page in a window of this size and colour scheme."""
    context = started.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page = context.new_page()
    origin = url if url.startswith("file:") else "/".join(url.split("/")[:3])
    seen = Seen(page, origin)

    def asked(request: Any) -> None:
        if not request.url.startswith((origin, "data:")):
            seen.asked.append(request.url)

    page.on("console", lambda m: seen.complaints.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else 0)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", asked)
    try:
        page.goto(url)
        yield seen
    finally:
        context.close()


def write(directory: Path, name: str, html: str) -> str:
    """Put a page into a file; its URL."""
    path = directory / f"{name}.html"
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The application on a free port of this machine; its address."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
