"""Sealed for a public key in age's own format: another implementation opens it, and what it seals opens here."""

import base64
import re

import pyrage
import pytest

from asgard.bifrost import age
from asgard.core.errors import WrongUsage

TEXT = "sasl.password=geheim\n" * 20


def test_another_implementation_opens_it_and_the_other_way_round():
    private, public = age.new_pair()
    theirs = pyrage.x25519.Identity.generate()
    assert str(pyrage.x25519.Identity.from_str(private).to_public()) == public
    for text in (TEXT, "", "ü" * 30_000):
        assert pyrage.decrypt(age.sealed(text, str(theirs.to_public())).encode(), [theirs]).decode() == text
        for_both = [pyrage.x25519.Recipient.from_str(public), theirs.to_public()]
        assert age.unsealed(pyrage.encrypt(text.encode(), for_both, armored=True).decode(), private) == text
    assert age.unsealed(age.sealed(TEXT, str(theirs.to_public())), f"# created: x\n{theirs}\n") == TEXT


def test_only_the_holder_of_the_key_reads_it_and_nobody_changes_it():
    private, public = age.new_pair()
    box = age.sealed(TEXT, public)
    data = base64.b64decode("".join(box.splitlines()[1:-1]))
    assert b"geheim" not in data and all(len(line) <= 64 for line in box.splitlines())
    assert age.sealed(TEXT, public) != box, "no two are alike"
    assert age.unsealed(f"\n{box}\n", private) == TEXT
    other, _ = age.new_pair()
    changed = [
        data[:-1],
        data[1:],
        *(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(0, len(data), 7)),
    ]
    for text in ("", "%%%", *(base64.b64encode(d).decode() for d in changed)):
        with pytest.raises(WrongUsage, match="does not open"):
            age.unsealed(text, private)
    with pytest.raises(WrongUsage, match="does not open"):
        age.unsealed(box, other)


def test_keys_are_checked():
    private, public = age.new_pair()
    assert re.fullmatch("age1[a-z0-9]{58}", public) and private.startswith("AGE-SECRET-KEY-1")
    age.check_public_key(public)
    for key in ("", "x", public[:-1], public[:-1] + "b", private, "age1" + "q" * 58, f"{public}\n{public}"):
        with pytest.raises(WrongUsage, match="no public key"):
            age.check_public_key(key)
    with pytest.raises(WrongUsage, match="64 KiB"):
        age.sealed("x" * 65_537, public)
