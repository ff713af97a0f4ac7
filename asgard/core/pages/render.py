"""Parts to HTML: one self-contained file, or the same templates inside a Flask application.

A self-contained page carries its stylesheet and script inside, and a content security policy that names them by their
hash and allows nothing else: no browser will fetch anything for it, whatever text it contains.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.core.pages.draw import draw, trend
from asgard.core.pages.parts import Cell, Chart, Column, Link, Part, Section

if TYPE_CHECKING:
    from flask import Blueprint, Flask
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
"""Headers of a served page: everything comes from its own host, and inline code is not run."""


def render(
    title: str,
    parts: Sequence[Part],
    *,
    eyebrow: str = "",
    made_at: datetime | None = None,
    links: Sequence[Link] = (),
) -> str:
    """A page as one file. `title` is in the browser's tab, `eyebrow` in small type above the first part.

    Charts without a value, and empty sections, are left out. `made_at` is shown in the footer.
    """
    style, script = asset("asgard.css"), asset("asgard.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:"
    return (
        environment()
        .get_template("asgard/report.html")
        .render(
            title=title,
            eyebrow=eyebrow,
            parts=drawable(parts),
            made_at=made_at,
            links=links,
            style=style,
            script=script,
            policy=policy,
        )
    )


def drawable(parts: Sequence[Part]) -> list[Part]:
    """The parts that are not empty."""
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, Chart) and part.empty:
            continue
        if isinstance(part, Section):
            inner = drawable(part.parts)
            if not inner:
                continue
            part = Section(part.title, inner, part.intro, part.columns)
        kept.append(part)
    return kept


@cache
def environment() -> Environment:
    """Jinja with the templates and autoescaping."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(_globals())
    return made


_LONG, _SHORT = 40, 24


def blueprint() -> Blueprint:
    """For Flask: the templates (`{% extends "asgard/served.html" %}`), and the stylesheet and script below `/asgard-pages/`."""
    from flask import Blueprint

    return Blueprint(
        "asgard_pages",
        __name__,
        template_folder=str(TEMPLATES),
        static_folder=str(STATIC),
        static_url_path="/asgard-pages",
    )


def install(app: Flask) -> None:
    """Add the templates, their files and the headers of `HEADERS` to a Flask application."""
    app.register_blueprint(blueprint())
    app.jinja_env.globals.update(_globals())
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    @app.after_request
    def _headers(response: Any) -> Any:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


@cache
def asset(name: str) -> Markup:
    """A file of `static/`, for embedding in a page. It is ours and needs no escaping."""
    from markupsafe import Markup

    return Markup((STATIC / name).read_text(encoding="utf-8"))


def _globals() -> dict[str, Any]:
    return {"draw": draw, "trend": trend, "looks": looks}


def looks(row: Sequence[str | Cell], columns: Sequence[Column]) -> Iterator[tuple[str | Cell, str]]:
    """Cells with their classes: numbers are right-aligned, short texts are not broken, long ones get room."""
    for cell, column in zip(row, columns, strict=True):
        text, tone = (cell, "plain") if isinstance(cell, str) else (cell.text, cell.tone)
        width = "n" if column.number else "long" if len(text) > _LONG else "short" if len(text) <= _SHORT else ""
        yield cell, width if tone == "plain" else f"{width} {tone}".strip()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
