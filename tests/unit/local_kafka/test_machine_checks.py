"""What the doctor finds on a machine."""

import socket

import pytest

from asgard.machines.local import doctor
from asgard.machines.local.tcp_ports import free_ports


@pytest.mark.parametrize(
    ("kind", "ok"), [("nfs4", False), ("cifs", False), ("fuse.sshfs", False), ("ext4", True), ("apfs", True)]
)
def test_a_home_on_a_network_file_system_is_objected_to(tmp_path, kind, ok):
    mounts = {"/": "ext4", str(tmp_path.resolve()): kind}
    check = doctor.check_file_system(tmp_path / "not" / "yet" / "there", mounts)
    assert check.ok is ok
    assert kind in check.what
    assert ok or "ASGARD_HOME" in str(check.mend)


def test_the_nearest_mount_counts(tmp_path):
    here = tmp_path.resolve()
    for name in ("local", "localx"):
        (here / name).mkdir()
    mounts = {"/": "ext4", str(here): "nfs", f"{here}/local": "xfs", f"{here}/localx": "nfs"}
    assert doctor.check_file_system(here / "local" / "asgard", mounts).ok
    assert not doctor.check_file_system(here / "localx", mounts).ok
    assert not doctor.check_file_system(here, mounts).ok


def test_this_machine_can_be_looked_at_without_changing_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ASGARD_CACHE", raising=False)
    names = [check.name for check in doctor.check_machine()]
    assert names == ["java", "kafka", "ports", "disk", "file system", "open files"]
    assert not (tmp_path / "home").exists()


def test_free_ports_are_different_and_nobody_listens_on_them():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
    assert not set(free_ports(20, taken=ports)) & set(ports)
