"""Which process was that: pids that are used again, zombies and other machines."""

import os
import subprocess
import sys
from dataclasses import replace

from asgard.core import process


def test_this_process_lives():
    assert not process.is_dead(process.identity())
    assert process.identity().pid == os.getpid()


def test_a_pid_that_is_used_again_is_another_process():
    assert process.is_dead(replace(process.identity(), started=process.identity().started - 1))


def test_a_process_of_another_machine_or_boot_is_never_certainly_dead():
    assert not process.is_dead(replace(process.identity(), boot="elsewhere", pid=2**22 - 1))


def test_a_killed_child_is_dead_before_its_parent_notices():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    who = process.Identity("h", process.boot(), child.pid, process.started(child.pid))
    assert not process.is_dead(who)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, not yet reaped: a zombie
    try:
        assert process.is_dead(who)
    finally:
        child.wait()
    assert process.is_dead(who)
