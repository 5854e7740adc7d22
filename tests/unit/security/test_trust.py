"""The registry on files: who is registered, and how changes come into force."""

import os
from pathlib import Path

import pytest

from gateway.model import PartyCode
from gateway.security.trust import FRESH, Trust
from gateway.testing.signing import Bench


class Elapsed:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def pki(tmp_path: Path, bench: Bench) -> Path:
    (tmp_path / "parties").mkdir()
    (tmp_path / "anchors" / "person").mkdir(parents=True)
    (tmp_path / "parties" / "NSW.pem").write_bytes((bench.folder / "parties" / "NSW.pem").read_bytes())
    (tmp_path / "anchors" / "person" / "ca.pem").write_bytes((bench.folder / "anchors" / "person" / "development.pem").read_bytes())
    return tmp_path


def test_registered_certificates_and_their_owner_are_found(pki: Path) -> None:
    trust = Trust(pki)

    found = trust.certificates(PartyCode("NSW"))

    assert len(found) == 3
    assert trust.owners(found[2]) == {"NSW"}
    assert len(trust.anchors("person").certificates) == 1


def test_who_is_not_registered_has_nothing(pki: Path, bench: Bench) -> None:
    trust = Trust(pki)

    assert trust.certificates(PartyCode("BNN")) == ()
    assert trust.owners(bench.relay.certificates[0]) == frozenset()
    assert trust.anchors("time").certificates == ()


def test_missing_folder_is_an_empty_registry(tmp_path: Path) -> None:
    assert Trust(tmp_path / "none").certificates(PartyCode("NSW")) == ()


def test_new_changed_and_removed_files_are_noticed_within_a_second(pki: Path, bench: Bench) -> None:
    elapsed = Elapsed()
    trust = Trust(pki, elapsed=elapsed)
    before = len(trust.certificates(PartyCode("NSW")))
    (pki / "parties" / "HQ.pem").write_bytes((bench.folder / "parties" / "HQ.pem").read_bytes())
    (pki / "parties" / "NSW.pem").write_bytes((bench.folder / "parties" / "BNN.pem").read_bytes())
    (pki / "anchors" / "person" / "ca.pem").unlink()
    unseen = len(trust.certificates(PartyCode("NSW")))

    elapsed.seconds += FRESH

    assert (before, unseen, len(trust.certificates(PartyCode("NSW")))) == (3, 3, 1)
    assert trust.owners(bench.relay.certificates[0]) == {"HQ"}
    assert trust.anchors("person").certificates == ()


def test_damaged_file_keeps_what_it_held_and_is_named(pki: Path) -> None:
    elapsed = Elapsed()
    trust = Trust(pki, elapsed=elapsed)
    before = trust.certificates(PartyCode("NSW"))
    (pki / "parties" / "NSW.pem").write_bytes(b"half a file")

    elapsed.seconds += FRESH

    assert trust.certificates(PartyCode("NSW")) == before
    assert [p.path for p in trust.registry.problems] == [str(pki / "parties" / "NSW.pem")]


def test_one_certificate_may_be_registered_for_two_parties(pki: Path) -> None:
    (pki / "parties" / "HQ.pem").write_bytes((pki / "parties" / "NSW.pem").read_bytes())
    trust = Trust(pki)

    assert trust.owners(trust.certificates(PartyCode("HQ"))[0]) == {"HQ", "NSW"}


def test_registry_of_one_message_does_not_change_under_it(pki: Path) -> None:
    elapsed = Elapsed()
    trust = Trust(pki, elapsed=elapsed)
    held = trust.registry
    (pki / "parties" / "NSW.pem").unlink()
    elapsed.seconds += FRESH

    assert len(held.parties[PartyCode("NSW")]) == 3
    assert trust.certificates(PartyCode("NSW")) == ()


def test_same_files_give_the_same_registry(pki: Path) -> None:
    elapsed = Elapsed()
    trust = Trust(pki, elapsed=elapsed)
    held = trust.registry
    os.utime(pki, None)
    elapsed.seconds += FRESH

    assert trust.registry is held
