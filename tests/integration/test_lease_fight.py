"""Real processes fight for one lease, some killed, some asleep past its end: a sample of `tests/proof/lease_fight.py`."""

from tests.proof.lease_fight import Fight, fight, verdict


def test_no_two_processes_ever_write_at_once(tmp_path):
    figures = fight(Fight(processes=5, seconds=5, hit_every_s=0.7, seed=7), tmp_path)
    assert verdict(figures) == [], (figures, (tmp_path / "stderr").read_text())
