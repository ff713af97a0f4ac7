"""The demo's last act: the day's page, as an analyst opens it in the morning, with failures and recoveries marked on it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

from asgard.compose import heimdall
from asgard.core import events as news
from asgard.kafka.target import Target

UTC = ZoneInfo("UTC")


def act(target: Target, owners: Mapping[str, str | None], directory: Path) -> Path:
    """Write today's report (UTC). Returns its page. `owners` by topic."""
    from asgard.heimdall import collect
    from asgard.heimdall.owners import Owners
    from asgard.heimdall.report import files
    from asgard.heimdall.report.sentences import headline
    from asgard.heimdall.settings import HeimdallSettings
    from asgard.heimdall.store.tables import open_store
    from asgard.heimdall.volume.windows import parse_date

    news.step("the day's page: what arrived, what is missing, who lagged, what broke and what healed it")
    with closing(target.connect()) as control, open_store() as store:
        collect.once(control, store)
    today = parse_date("today", time.time(), UTC)
    day = heimdall.daily(target, today, UTC, HeimdallSettings(owners=Owners(topic_owner=owners.get)))
    news.note(headline(day))
    return files.write(day, directory)[0]
