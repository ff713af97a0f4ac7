"""An EC2 instance as far as user data can tell: a clean Debian root of its own, a loop device as its volume, a metadata service.

The root is made once by debootstrap and copied for each instance. Mount, process and network namespaces keep the script away from
the machine; inside, 169.254.169.254 answers as IMDSv2 does. Two commands are stand-ins, since no AWS and no systemd are there:
`aws` (copies the distribution from a directory, prints the secret, attaches the volume by making its device link) and `systemctl`
(runs the unit's own ExecStart as the unit's user). Everything else is Debian's: mkfs.xfs, blkid, wipefs, mount, java, runuser.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = (
    "openjdk-17-jre-headless,xfsprogs,python3-minimal,libpython3-stdlib,curl,ca-certificates,iproute2,procps,passwd"
)
TOOLS = ("debootstrap", "losetup", "unshare", "nsenter", "mkfs.xfs", "ip")
_METADATA = """
import http.server, sys
MAC = "02:00:00:00:00:01"
PAGES = {"instance-id": "i-0test", "network/interfaces/macs/": MAC + "/", f"network/interfaces/macs/{MAC}/interface-id": sys.argv[1]}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        ok = self.path == "/latest/api/token" and self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        self.answer(200 if ok else 400, "token-1")
    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != "token-1":
            return self.answer(401, "")
        page = PAGES.get(self.path.removeprefix("/latest/meta-data/"))
        self.answer(200 if page is not None else 404, page or "")
    def answer(self, code, text):
        self.send_response(code); self.end_headers(); self.wfile.write(text.encode())
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("169.254.169.254", 80), Handler).serve_forever()
"""
SECRET_VERSION = "11111111-2222-3333-4444-555555555555"
"""The only version of the secret that `aws` gives out."""
_AWS = """\
#!/bin/sh
# Stands in for AWS: the bucket is /bucket, the secret /secret.json, the volume the loop device in /volume-device.
case "$1 $2" in
  "s3 cp") for a; do case "$a" in s3://*) from=$a;; /*) to=$a;; esac; done; cp "/bucket/$(basename "$from")" "$to" ;;
  "secretsmanager get-secret-value")
    case "$*" in *"--version-id 11111111-2222-3333-4444-555555555555 "*) cat /secret.json ;; *) echo "aws: another version" >&2; exit 1 ;; esac ;;
  "ec2 attach-volume")
    while [ $# -gt 0 ]; do [ "$1" = --volume-id ] && volume=$2; shift; done
    mkdir -p /dev/disk/by-id
    ln -sf "$(cat /volume-device)" "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_$(echo "$volume" | sed s/-//)" ;;
  "ec2 attach-network-interface") ;;
  *) echo "aws: not expected: $*" >&2; exit 1 ;;
esac
"""
_SYSTEMCTL = """\
#!/bin/bash
# Stands in for systemd: runs the unit's own ExecStart as its user.
unit=/etc/systemd/system/kafka.service
case "$1" in
  daemon-reload|enable) ;;
  restart)
    [ -e /run/kafka.pid ] && kill "$(cat /run/kafka.pid)" 2> /dev/null
    command=$(sed -n 's/^ExecStart=//p' "$unit") user=$(sed -n 's/^User=//p' "$unit")
    # systemd does not expand stars; neither does this.
    set -f
    setsid runuser -u "$user" -- $command > /var/log/kafka.log 2>&1 < /dev/null &
    echo $! > /run/kafka.pid ;;
  *) echo "systemctl: not expected: $*" >&2; exit 1 ;;
esac
"""


def missing_tools() -> list[str]:
    """What this machine lacks for it; empty where all is there."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return missing + ([] if os.geteuid() == 0 else ["root"])


def debian_root(cache: Path) -> Path:
    """A minimal Debian with what user data needs, made once."""
    root = cache / "debian-bookworm"
    if not (root / ".complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        root.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (root / ".complete").touch()
    return root


@dataclass
class Volume:
    """An EBS volume as a file; `device` while it is attached."""

    file: Path
    device: str = ""

    @classmethod
    def create(cls, file: Path, size_bytes: int) -> Volume:
        with file.open("wb") as made:
            made.truncate(size_bytes)
        return cls(file)

    @contextlib.contextmanager
    def attached(self) -> Iterator[str]:
        self.device = subprocess.run(
            ["losetup", "--show", "-f", str(self.file)], check=True, capture_output=True, text=True
        ).stdout.strip()
        try:
            yield self.device
        finally:
            subprocess.run(["losetup", "-d", self.device], check=False)


class Instance:
    """One instance: `boot` runs user data in it, `close` ends everything that lives in it (the volume stays)."""

    def __init__(self, root: Path, where: Path, hosts: str, secret: str, distribution: Path, device: str) -> None:
        self.root = where / "root"
        self._holder: subprocess.Popen[bytes] | None = None
        subprocess.run(["cp", "-a", "--reflink=auto", str(root), str(self.root)], check=True)
        (self.root / "bucket").mkdir()
        shutil.copy(distribution, self.root / "bucket" / distribution.name)
        self._write("secret.json", secret, 0o600)
        self._write("volume-device", device)
        self._write("etc/hosts", f"127.0.0.1 localhost\n{hosts}")
        self._write("usr/local/bin/aws", _AWS, 0o755)
        self._write("usr/local/bin/systemctl", _SYSTEMCTL, 0o755)
        self._write("metadata.py", _METADATA)
        self._start(device)

    def _write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.root / name
        path.write_text(text)
        path.chmod(mode)

    def _start(self, device: str) -> None:
        """Namespaces with a first process that holds them; /dev has the volume and nothing else of the machine's disks."""
        script = textwrap.dedent(
            f"""
            set -e
            mount --make-rprivate /
            mount --bind {self.root} {self.root}
            mount -t tmpfs none {self.root}/dev
            for node in null zero random urandom tty; do touch {self.root}/dev/$node; mount --bind /dev/$node {self.root}/dev/$node; done
            touch {self.root}{device}; mount --bind {device} {self.root}{device}
            mkdir -p {self.root}/dev/shm {self.root}/dev/fd; rmdir {self.root}/dev/fd; ln -s /proc/self/fd {self.root}/dev/fd
            mount -t proc proc {self.root}/proc
            mount -t tmpfs none {self.root}/run
            ip link set lo up
            ip addr add 169.254.169.254/32 dev lo
            exec chroot {self.root} python3 /metadata.py eni-0test
            """
        )
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
        )
        until = time.monotonic() + 30
        while time.monotonic() < until and self._holder.poll() is None:
            with contextlib.suppress(IndexError, FileNotFoundError):
                if self.run(["curl", "-s", "-o", "/dev/null", "http://169.254.169.254/"]).returncode == 0:
                    return
            time.sleep(0.2)
        raise RuntimeError("the namespaces of the instance did not start")

    def run(
        self, command: list[str], *, text: str | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run something inside, as root."""
        return subprocess.run(
            ["nsenter", "-t", str(self._inner()), "-m", "-n", "-p", "chroot", str(self.root), *command],
            input=text, capture_output=True, text=True, timeout=timeout, check=False,
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        )  # fmt: skip

    def boot(self, user_data: str) -> subprocess.CompletedProcess[str]:
        """What cloud-init does with user data: run it as root."""
        self._write("user-data.sh", user_data, 0o700)
        return self.run(["/user-data.sh"], timeout=600)

    def _inner(self) -> int:
        assert self._holder is not None
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        return int(children[0])

    def close(self) -> None:
        """End every process of the instance, as termination does, and remove its root file system."""
        if self._holder is not None:
            with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
                os.kill(self._inner(), signal.SIGKILL)
            self._holder.kill()
            self._holder.wait(30)
        shutil.rmtree(self.root, ignore_errors=True)
