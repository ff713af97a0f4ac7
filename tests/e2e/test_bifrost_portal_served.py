"""The portal as a person uses it, on a real cluster, in a real browser, with the keyboard alone: asked, refused with a reason, corrected
by one click, granted, credentials seen once, and these credentials work."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from asgard.compose.bifrost_check import _produce as produce
from asgard.core.errors import AsgardError
from asgard.kafka.connection import Connection, parse_properties
from tests.e2e.bifrost_world import World
from tests.e2e.command import ASGARD
from tests.harness import RealCluster
from tests.harness.chromium import browser, opened
from tests.harness.placing import eventually

PICTURES = os.environ.get("ASGARD_PICTURES")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, external_cluster: RealCluster) -> World:
    made = World(tmp_path_factory.mktemp("portal"), external_cluster, "po-")
    made.run("edgar", "tick")  # how many brokers there are
    return made


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[str]:
    """`asgard bifrost serve` in a process of its own; its address. What it prints stands in files beside the others, which are searched for secrets."""
    said = world.folder / "serve.err"
    line = [str(ASGARD), "bifrost", "serve", "--port", "0"]
    with (world.folder / "serve.log").open("w") as out, said.open("w") as err:
        server = subprocess.Popen(line, cwd=world.folder, env=world.home.environment(), stdout=out, stderr=err)
    eventually(lambda: "\n" in said.read_text() or server.poll() is not None, what="the portal's address")
    found = re.search(r"http://127\.0\.0\.1:\d+", said.read_text())
    assert found is not None, said.read_text()
    try:
        yield found[0]
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 130 and "Traceback" not in said.read_text(), said.read_text()


def token_of(world: World, person: str, scope: str = "full") -> str:
    """What the data team's own user makes for somebody without an OS user."""
    line = [str(ASGARD), "bifrost", "token", "create", "--person", person, "--scope", scope, "--json"]
    done = subprocess.run(
        line, cwd=world.folder, env=world.home.environment(), capture_output=True, text=True, check=True
    )
    return str(json.loads(done.stdout)["secret"])


def tab_to(page: Any, text: str) -> None:
    """Press Tab until the focus is on something with that text."""
    for _ in range(80):
        page.keyboard.press("Tab")
        at = "document.activeElement.textContent.trim() || document.activeElement.labels?.[0]?.textContent.trim() || ''"
        if page.evaluate(at).startswith(text):
            return
    raise AssertionError(f"Tab never comes to {text!r}")


def press(page: Any, text: str) -> None:
    tab_to(page, text)
    page.keyboard.press("Enter")


def fit(seen: Any, name: str) -> None:
    """Axe's rules, and no page wider than a telephone or the window."""
    assert (seen.violations(), seen.complaints, seen.asked) == ([], [], [])
    for width, height in ((390, 844), (1280, 800)):
        seen.page.set_viewport_size({"width": width, "height": height})
        assert seen.overflow() == 0, (name, width)
        if PICTURES:
            seen.page.screenshot(path=f"{PICTURES}/{name}-{width}.png")


def test_a_person_asks_is_refused_corrects_it_by_one_click_and_has_it(world: World, served: str) -> None:
    from playwright.sync_api import expect

    topic, user = world.name("orders.created"), world.name("orders.web")
    with browser() as chromium, opened(chromium, served + "/") as seen:
        page = seen.page
        fit(seen, "login")
        tab_to(page, "Token")
        page.keyboard.type(token_of(world, "linus"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="My services")).to_be_visible()
        fit(seen, "empty")
        press(page, "Ask")
        page.wait_for_url("**/ask/topic")
        tab_to(page, "Topic")
        page.keyboard.type("created")
        tab_to(page, "With a Kafka user")
        page.keyboard.type(user)
        expect(page.locator("#answer")).to_contain_text("Refused")
        expect(page.locator("#answer")).to_contain_text("team-namespace")
        fit(seen, "ask")
        press(page, "Ask for it")
        expect(page.locator(".verdict .word")).to_have_text("Rejected")
        fit(seen, "rejected")
        press(page, "Ask for this instead")
        expect(page.locator(".verdict .word")).to_have_text("Ready", timeout=120_000)
        assert topic in page.locator(".verdict h1").inner_text()
        fit(seen, "ready")
        press(page, f"Credentials of {user}")
        page.wait_for_url("**/users/**")
        press(page, "Show the credentials, once")
        expect(page.get_by_role("alert")).to_contain_text("one time")
        secret = page.locator("pre code").inner_text()
        if not PICTURES:
            fit(seen, "secret")
        properties = parse_properties(secret)
        password = re.search(r'password="([^"]+)"', secret)
        assert password is not None
        press(page, "Back")
        expect(page.locator("table").first).to_contain_text("handed")
        assert page.get_by_role("button", name="Show the credentials, once").count() == 0
        fit(seen, "user")
        page.goto(f"{served}/bifrost/topics/{topic}")
        expect(page.locator("main")).to_contain_text("Records")
        fit(seen, "topic")
        page.goto(f"{served}/bifrost/mine")
        fit(seen, "mine")
    connection = Connection(properties.pop("bootstrap.servers"), properties)
    produce(connection, topic)
    with pytest.raises(AsgardError, match="not authorised"):
        produce(connection, world.name("payments.created"))
    kept = [f for f in world.folder.rglob("*") if f.is_file() and password[1].encode() in f.read_bytes()]
    lines = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists()]
    assert kept == [] and not any(password[1].encode() in line for line in lines)


def test_the_command_line_through_the_portal_names_what_is_deleted(world: World, served: str) -> None:
    topic, user = world.name("orders.remote"), world.name("orders.remote-u")
    variables = {"ASGARD_PORTAL": served, "ASGARD_PORTAL_TOKEN": token_of(world, "linus"), "ASGARD_BIFROST": "/nowhere"}

    def run(*args: str, code: int = 0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(ASGARD), "bifrost", *args, "--json"], input=stdin, capture_output=True, text=True,
            env={**world.home.environment(), **variables}, cwd="/", check=False,
        )  # fmt: skip
        assert done.returncode == code and "Traceback" not in done.stderr, (args, done.stdout, done.stderr)
        return done

    wanted = {"topics": [{"name": topic, "replication": 1}], "users": [{"name": user, "produce": [topic]}]}
    assert json.loads(run("request", "bundle", "-f", "-", stdin=json.dumps(wanted)).stdout)["state"] == "ready"
    produce(world.credentials("linus", user), topic)
    asked = run("request", "delete", topic, code=4)
    assert f"{topic} loses up to 1 record" in asked.stderr and "there is no terminal to ask on" in asked.stderr
    token = variables["ASGARD_PORTAL_TOKEN"]
    answer = requests.post(
        f"{served}/api/v1/requests", json={"deletions": [{"topic": topic}]}, timeout=30,
        headers={"Authorization": f"Bearer {token}"},
    )  # fmt: skip
    assert answer.status_code == 409 and "loses up to 1 record" in answer.json()["error"]
    gone = json.loads(run("request", "delete", topic, "--yes").stdout)
    assert gone["state"] == "ready" and [loss["topic"] for loss in gone["losses"]] == [topic]
    assert f'"name": "{topic}"' not in world.part


def test_a_form_that_deletes_records_is_asked_about_once_more(world: World, served: str) -> None:
    from playwright.sync_api import expect

    topic, user = world.name("orders.going"), world.name("orders.going-u")
    made = world.bundle("linus", topics=[{"name": topic, "replication": 1}], users=[{"name": user, "produce": [topic]}])
    assert made.json["state"] == "ready"
    produce(world.credentials("linus", user), topic)
    with browser() as chromium, opened(chromium, served + "/") as seen:
        page = seen.page
        page.get_by_label("Token").fill(token_of(world, "linus"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="My services")).to_be_visible()
        page.goto(f"{served}/bifrost/ask/delete")
        page.get_by_label("Its name").fill(topic)
        page.get_by_role("button", name="Ask for it").click()
        expect(page.locator(".verdict")).to_contain_text(f"{topic} loses up to 1 record")
        fit(seen, "losses")
        assert topic in world.part
        tab_to(page, "Ask for it, and lose these records")
        page.keyboard.press("Enter")
        expect(page.locator(".verdict .word")).to_have_text("Ready", timeout=120_000)
    assert f'"name": "{topic}"' not in world.part
