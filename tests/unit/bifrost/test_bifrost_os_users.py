"""OS users as identities, with real uids: who can't read or write what, and whose word SUDO_UID is."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from asgard.bifrost import identity
from asgard.bifrost.gate import find_file
from asgard.core.errors import WrongUsage

OWNER, OTHER = "games", "man"


def as_user(name, command, **variables):
    """Run a command with another user's uid and gid, and nothing of root's groups."""
    user = pwd.getpwnam(name)
    variables = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    return subprocess.run(
        command, user=user.pw_uid, group=user.pw_gid, extra_groups=[], capture_output=True, text=True, timeout=120,
        env={**os.environ, **variables}, cwd="/", check=False,
    )  # fmt: skip


def interpreter():
    """A Python of this version that other users can run and that finds Asgard; None where there is none."""
    for path in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            if as_user(OTHER, [path, "-c", "import asgard.cli.main, sqlalchemy, pydantic"]).returncode == 0:
                return path
        except OSError:
            continue
    return None


@pytest.fixture
def owned():
    """Bifrost of the user OWNER, where other users can reach the folder itself."""
    if os.getuid() != 0:
        pytest.skip("only root can act as two other users")
    if interpreter() is None:
        pytest.skip(f"{sys.executable} can't be run by other users on this machine")
    folder = Path(tempfile.mkdtemp(prefix="bifrost"))
    folder.chmod(0o755)
    shipped = Path(__file__).parents[3] / "templates" / "bifrost"
    for file in shipped.glob("*.yaml"):
        text = file.read_text().replace("{name: linus}", "{name: linus, os_user: man}")
        (folder / file.name).write_text(text.replace("{name: edgar}", "{name: edgar, os_user: games}"))
        (folder / file.name).chmod(0o644)
    (folder / "asgard.yaml").write_text("{stack: s, target: local}")
    for path in (folder, *folder.iterdir()):
        os.chown(path, pwd.getpwnam(OWNER).pw_uid, -1)
    yield folder
    shutil.rmtree(folder)


def bifrost(folder, user, *args, **variables):
    """`asgard bifrost …` of an OS user."""
    command = [
        interpreter(),
        "-c",
        "import sys; from asgard.cli.main import main; sys.exit(main(sys.argv[1:]))",
        "bifrost",
        *args,
    ]
    home = {"ASGARD_HOME": str(folder / "home"), "ASGARD_BIFROST": str(folder / "bifrost.yaml")}
    return as_user(user, command, **{**home, **variables})


def test_a_member_acts_through_sudo_and_not_by_own_files(owned, tmp_path):
    other = str(pwd.getpwnam(OTHER).pw_uid)
    through = bifrost(owned, OWNER, "mine", "--json", SUDO_UID=other)
    assert through.returncode == 0 and '"orders"' in through.stdout, through.stderr
    # In a process of their own: the files are not theirs, the store can't be read, and SUDO_UID says nothing.
    for variables in ({}, {"SUDO_UID": str(pwd.getpwnam(OWNER).pw_uid)}):
        alone = bifrost(owned, OTHER, "mine", **variables)
        assert alone.returncode == 4 and "belongs to games, not to man" in alone.stderr
    for path in ("bifrost.yaml", "policy.yaml", "home/bifrost.db"):
        written = as_user(OTHER, ["/bin/sh", "-c", f"echo x >> {owned / path}"])
        assert written.returncode != 0, f"{path} can be written by others"
    read = as_user(OTHER, ["/bin/cat", str(owned / "home" / "bifrost.db")])
    assert read.returncode != 0 and read.stdout == ""


def test_through_sudo_no_file_of_the_caller_is_opened(owned):
    variables = {"SUDO_UID": str(pwd.getpwnam(OTHER).pw_uid)}
    secret = owned / "secret"
    secret.write_text("hush\n")
    os.chown(secret, pwd.getpwnam(OWNER).pw_uid, -1)
    before = {path: path.read_text() for path in owned.glob("*.yaml")}
    for args in (
        ["request", "bundle", "-f", "/etc/passwd"],
        ["mine", "--config", "/tmp/bifrost.yaml"],
        ["credentials", "orders.u", "--out", "/tmp/x"],
        ["check", "orders.u", "--credentials", "/etc/passwd"],
        ["keygen", "--out", "/tmp/key"],
        ["init", str(owned), "--yes"],
        ["policy", "test", "--config", str(secret)],
        ["serve", "--port", "0", "--proxy", "127.0.0.1", "--proxy-header", "X-Person"],
    ):
        answer = bifrost(owned, OWNER, *args, **variables)
        assert answer.returncode == 4 and "sudo" in answer.stderr, (args, answer.stderr)
        assert "hush" not in answer.stderr
    assert {path: path.read_text() for path in owned.glob("*.yaml")} == before


def test_through_sudo_the_callers_directory_names_no_file(tmp_path, monkeypatch):
    (tmp_path / "bifrost.yaml").write_text("hush\n")
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ASGARD_BIFROST", raising=False)
    monkeypatch.chdir(tmp_path)
    assert find_file(None).name == "bifrost.yaml"
    monkeypatch.setattr(identity, "caller", lambda: identity.Caller(OTHER, delegated=True))
    with pytest.raises(WrongUsage, match=f"there is no {tmp_path / 'home'}"):
        find_file(None)


def test_who_calls_is_the_one_who_called_sudo(monkeypatch):
    monkeypatch.delenv("SUDO_UID", raising=False)
    me = identity.caller()
    assert not me.delegated and me.os_user == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setenv("SUDO_UID", str(pwd.getpwnam(OTHER).pw_uid))
    assert identity.caller() == identity.Caller(OTHER, os.getuid() != pwd.getpwnam(OTHER).pw_uid)
