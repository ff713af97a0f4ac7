"""Heimdall's pages as a Flask blueprint, for an application that has the templates of `core/pages` installed.

Every page has its own address, which includes its search and its time range, and is live: its content is fetched again while it
is open. The application decides who may see it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Blueprint, abort, render_template, request, url_for

from asgard.core.errors import AsgardError, WrongUsage
from asgard.core.pages.parts import Field, Link, Notice, Part
from asgard.core.pages.render import drawable
from asgard.heimdall import incidents, views, words
from asgard.heimdall.report import page as daily_page
from asgard.heimdall.views import Links, Span
from asgard.heimdall.volume import windows
from asgard.heimdall.web import api
from asgard.heimdall.web.source import MonitoredCluster

if TYPE_CHECKING:
    from asgard.heimdall.picture import Picture

NAME = "heimdall"
RANGES = {"1h": 3600.0, "6h": 6 * 3600.0, "24h": 86400.0, "7d": 7 * 86400.0, "30d": 30 * 86400.0}
_RANGE_WORDS = {"1h": "the last hour", "6h": "the last 6 hours", "24h": "the last 24 hours", "7d": "the last 7 days", "30d": "the last 30 days"}  # fmt: skip
_KEPT = ("q", "range", "date", "tz")
"""The parts of an address that links keep."""
EVERY_S, SLOWLY_S, MANY_ROWS = 10, 30, 1000
_PAGES = (("overview", "Overview"), ("topics", "Topics"), ("groups", "Groups"), ("brokers", "Brokers"), ("incidents", "Incidents"), ("daily", "Daily"))  # fmt: skip
_PARENTS = {"topic": "topics", "group": "groups"}
"""The page in the navigation that a page of one thing belongs to."""


def blueprint(
    source: MonitoredCluster, url_prefix: str = "/heimdall", name: str = NAME, *, beside: str = ""
) -> Blueprint:
    """The pages and `/api` below `url_prefix`.

    `beside`: the pages are part of an application with its own frame, navigation and login; this is its name for them.
    """
    made = Blueprint(
        name, __name__, url_prefix=url_prefix or None, template_folder=str(Path(__file__).parent / "templates")
    )
    site = _Site(source, beside)
    made.add_url_rule("/", "overview", site.overview)
    made.add_url_rule("/topics", "topics", site.topics)
    made.add_url_rule("/topics/<path:name>", "topic", site.topic)
    made.add_url_rule("/groups", "groups", site.groups)
    made.add_url_rule("/groups/<path:name>", "group", site.group)
    made.add_url_rule("/brokers", "brokers", site.brokers)
    made.add_url_rule("/incidents", "incidents", site.incidents)
    made.add_url_rule("/daily", "daily", site.daily)
    api.add(made, source)
    return made


@dataclass(frozen=True)
class _Form:
    """What a page asks for, and the word on its button."""

    fields: Sequence[Field] = ()
    submit: str = "Search"


NO_FORM = _Form()


class _Site:
    """The views. Each makes parts from the source's data."""

    def __init__(self, source: MonitoredCluster, beside: str) -> None:
        self.source = source
        self.beside = beside
        self.links = Links(lambda kind, name: url_for(f".{kind}", name=name))

    def overview(self) -> Any:
        picture = self._picture()
        if picture is None:
            return self._waiting("Overview")
        span = self._span(picture)
        arrived = self.source.history().arrivals(
            span.since, span.until, topics=picture.topics if picture.part else None
        )
        parts = views.overview(picture, self.source.raised(), arrived, span, self.source.settings.owners, self.links)
        return self._page(picture.cluster, parts, span="6h")

    def topics(self) -> Any:
        picture = self._picture()
        if picture is None:
            return self._waiting("Topics")
        parts = views.topics(picture, self.source.settings.owners, self.links, _asked("q"))
        every = SLOWLY_S if len(picture.topics) > MANY_ROWS else EVERY_S
        return self._page("Topics", parts, form=_Form([_search("Search by name or owner")]), every=every)

    def topic(self, name: str) -> Any:
        picture = self._picture()
        if picture is None:
            return self._waiting(name)
        if name not in picture.topics:
            abort(404)
        span = self._span(picture)
        points = self.source.history().topic_series(name, span.since, span.until)
        parts = views.topic(picture, name, points, span, self.source.settings.owners, self.links)
        return self._page(name, parts, span="6h")

    def groups(self) -> Any:
        picture = self._picture()
        if picture is None:
            return self._waiting("Groups")
        parts = views.groups(picture, self.source.settings.owners, self.links, _asked("q"))
        every = SLOWLY_S if len(picture.groups) > MANY_ROWS else EVERY_S
        return self._page("Groups", parts, form=_Form([_search("Search by name or owner")]), every=every)

    def group(self, name: str) -> Any:
        picture = self._picture()
        if picture is None:
            return self._waiting(name)
        if name not in picture.groups:
            abort(404)
        span = self._span(picture)
        points = self.source.history().group_series(name, span.since, span.until)
        parts = views.group(picture, name, points, span, self.source.settings.owners, self.links)
        return self._page(name, parts, span="6h")

    def brokers(self) -> Any:
        picture = self._picture()
        if picture is not None and picture.part:
            abort(404)
        return self._waiting("Brokers") if picture is None else self._page("Brokers", views.brokers(picture))

    def incidents(self) -> Any:
        picture = self._picture()
        if picture is None:
            return self._waiting("Incidents")
        span = self._span(picture, "7d")
        parts = views.happened(span.happened, self.source.raised(), picture.at, span.label, self.links)
        return self._page("Incidents", parts, span="7d")

    def daily(self) -> Any:
        tz_name = _asked("tz") or "UTC"
        date_text = _asked("date") or "yesterday"
        notices: list[Notice] = []
        parts: Sequence[Part] = ()
        fields = [Field("date", "Day", "date", required=True), Field("tz", "Time zone", value=tz_name, required=True)]
        try:
            zone = windows.zone(tz_name)
            day = windows.parse_date(date_text, time.time(), zone)
            fields[0] = Field("date", "Day", "date", value=day.isoformat(), required=True)
            parts = daily_page.parts(self.source.day(day, zone), self.links.to)
        except WrongUsage as error:
            notices.append(Notice(error.what, "bad"))
        except AsgardError as error:
            notices.append(Notice(f"The day can't be counted now: {error.what}", "bad"))
        return self._page("Daily report", parts, form=_Form(fields, "Show"), notices=notices, every=0)

    def _picture(self) -> Picture | None:
        return self.source.picture

    def _span(self, picture: Picture, default: str = "6h") -> Span:
        name = _range(default)
        until = picture.at
        since = until - RANGES[name]
        events = self.source.events(since - incidents.REACH_S)
        return Span(since, until, _RANGE_WORDS[name], incidents.happenings(events, picture.cluster_id, since, until))

    def _waiting(self, title: str) -> Any:
        why = self.source.problem or "The first look at the cluster is under way."
        return self._page(title, [], notices=[Notice(why, "bad" if self.source.problem else "info")])

    def _page(
        self,
        title: str,
        parts: Sequence[Part],
        *,
        form: _Form = NO_FORM,
        span: str = "",
        every: int = EVERY_S,
        notices: Sequence[Notice] = (),
    ) -> Any:
        """`span`: the page has time ranges, and this one if none is asked for. `every` seconds its parts are fetched again; 0: never."""
        picture = self.source.picture
        shown = {"parts": drawable(parts), "looked": _looked(picture, self.source.problem) if every else ""}
        if request.args.get("part"):
            return render_template("heimdall/parts.html", **shown)
        args = {name: _asked(name) for name in _KEPT if _asked(name)}
        endpoint, path = request.endpoint or "", request.view_args or {}
        chosen = _range(span)
        view = endpoint.rpartition(".")[2]
        nav = _nav(_PARENTS.get(view, view), whole=picture is None or not picture.part)
        # The frame around them is the application's own; its variables are not overridden.
        frame: dict[str, Any] = {"pages": nav, "beside": self.beside} if self.beside else {"product": "Heimdall", "nav": nav}  # fmt: skip
        return render_template(
            "heimdall/page.html",
            **shown,
            **frame,
            title=title,
            notices=list(notices),
            fields=form.fields,
            submit=form.submit,
            ranges=[Link(name, _address(endpoint, path, {**args, "range": name}), name == chosen) for name in RANGES] if span else [],
            live=_address(endpoint, path, {**args, "part": "1"}) if every else "",
            every=every,
        )  # fmt: skip


def _address(endpoint: str, path: dict[str, Any], args: dict[str, str]) -> str:
    given: dict[str, Any] = {**path, **args}
    return url_for(endpoint, **given)


def _nav(current: str, *, whole: bool) -> list[Link]:
    return [Link(text, url_for(f".{name}"), name == current) for name, text in _PAGES if whole or name != "brokers"]


def _asked(name: str) -> str:
    return request.args.get(name, "").strip()[:200]


def _range(default: str) -> str:
    asked = _asked("range")
    return asked if asked in RANGES else default


def _search(label: str) -> Field:
    return Field("q", label, "search", value=_asked("q"))


def _looked(picture: Picture | None, problem: str) -> str:
    if picture is None:
        return ""
    text = f"Last look at the cluster: {_time(picture.at)} UTC, took {words.duration(picture.seconds)}."
    return f"{text} Since then: {problem}" if problem else text


def _time(at: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
