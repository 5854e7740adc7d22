import os
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.errors import GatewayError, Unavailable, explain
from gateway.model import PartyCode
from gateway.web.keys import KeyFile, hash_key, new_key, read_keys, verify_key

SALT = bytes(range(16))


def _line(name: str, key: str, *, roles: str = "reader", party: str = "", chosen: bool = False) -> str:
    return f"{name}:{party}:{roles}:{hash_key(key, salt=SALT, chosen=chosen)}"


def _write(path: Path, *lines: str, at: int) -> None:
    path.write_text("\n".join(lines), "utf-8")
    os.utime(path, ns=(at, at))


def _file(path: Path, told: list[tuple[str, Mapping[str, object]]] | None = None) -> KeyFile:
    return KeyFile(path, watch=lambda event, fields: None if told is None else told.append((event, fields)))


def test_new_key_carries_all_the_randomness() -> None:
    assert new_key(bytes) == "nsw_" + "A" * 43


@pytest.mark.parametrize("chosen", [False, True])
def test_key_matches_its_own_hash_only(chosen: bool) -> None:  # noqa: FBT001  # a parameter of the case
    hashed = hash_key("correct horse", salt=SALT, chosen=chosen)

    assert verify_key("correct horse", hashed)
    assert not verify_key("correct horsf", hashed)


def test_hash_does_not_hold_the_key() -> None:
    assert "secret" not in hash_key("secret", salt=SALT)


def test_keys_are_read_with_party_and_roles() -> None:
    portal, staff = read_keys(f"# ours\n\n{_line('portal', 'a', roles='sender, reader', party='NSW')}\n{_line('staff', 'b')}\n", place="f")

    assert (portal.name, portal.party, portal.roles) == ("portal", PartyCode("NSW"), frozenset({"sender", "reader"}))
    assert (staff.name, staff.party, staff.roles) == ("staff", None, frozenset({"reader"}))


def test_every_wrong_line_is_told_with_its_number() -> None:
    good = _line("a", "x")
    text = "\n".join([good, "just-a-key", good, _line("b c", "x"), _line("d", "x", roles="root"), "e::reader:plaintext"])

    with pytest.raises(GatewayError) as refused:
        read_keys(text, place="keys")

    found = [(p.text, p.line) for p in refused.value.problems]
    assert found == [("web.key-line", 2), ("web.key-twice", 3), ("web.key-name", 4), ("web.key-roles", 5), ("web.key-hash", 6)]
    assert all(explain(p, "vi") != p.text for p in refused.value.problems)


def test_refusal_of_a_key_file_quotes_no_line() -> None:
    with pytest.raises(GatewayError) as refused:
        read_keys("my-secret-key", place="keys")

    assert "my-secret-key" not in str(refused.value) + explain(refused.value.problems[0], "en")


def test_missing_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="keys-unreadable"):
        _file(tmp_path / "none")


def test_mark_with_which_windows_begins_a_file_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(_line("portal", "a"), "utf-8-sig")

    found = _file(tmp_path / "keys").find("a")

    assert found
    assert found.name == "portal"


def test_key_file_finds_who_presents_a_key(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    _write(path, _line("a", "one"), _line("b", "two"), at=1)
    keys = _file(path)

    found = [keys.find(key) for key in ("two", "two", "three", "", "x" * 201, "hai ✓")]

    assert [key.name if key else None for key in found] == ["b", "b", None, None, None, None]


def test_removed_key_is_no_longer_known(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    _write(path, _line("a", "one"), _line("b", "two"), at=1)
    keys = _file(path)
    assert keys.find("one")

    _write(path, _line("b", "two"), at=2)

    assert keys.find("one") is None
    assert keys.find("two")


def test_wrong_or_missing_key_file_never_replaces_the_one_in_force(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    _write(path, _line("a", "one"), at=1)
    keys = _file(path)

    _write(path, "nonsense", at=2)
    assert keys.find("one")
    path.unlink()

    assert keys.find("one")


# --- wrong keys ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count what is tried against slow hashes."""
    tried: list[str] = []

    def counting(key: str, hashed: str) -> bool:
        if hashed.startswith("scrypt"):
            tried.append(key)
        return verify_key(key, hashed)

    monkeypatch.setattr("gateway.web.keys.verify_key", counting)
    return tried


def test_wrong_key_is_tried_against_slow_hashes_once(tmp_path: Path, derived: list[str]) -> None:
    path = tmp_path / "keys"
    _write(path, _line("a", "one"), _line("b", "two", chosen=True), at=1)
    keys = _file(path)

    found = [keys.find("wrong") for _ in range(3)]

    assert (found, derived) == ([None] * 3, ["wrong"])


def test_key_that_a_program_made_never_meets_slow_hashes(tmp_path: Path, derived: list[str]) -> None:
    path = tmp_path / "keys"
    _write(path, _line("b", "two", chosen=True), _line("a", "one"), at=1)

    found = _file(path).find("one")

    assert (found and found.name, derived) == ("a", [])


def test_wrong_key_may_be_right_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    _write(path, _line("a", "one", chosen=True), at=1)
    keys = _file(path)
    assert keys.find("two") is None

    _write(path, _line("a", "one", chosen=True), _line("b", "two", chosen=True), at=2)

    assert keys.find("two")


def test_no_more_wrong_keys_are_remembered_than_there_is_room_for(
    tmp_path: Path, derived: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.web.keys.MAX_WRONG", 2)
    path = tmp_path / "keys"
    _write(path, _line("a", "one", chosen=True), at=1)
    keys = _file(path)

    for wrong in ("x", "y", "z", "z", "y", "x"):
        keys.find(wrong)

    assert derived == ["x", "y", "z", "x"]


def test_one_slow_key_is_tried_at_a_time_and_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys"
    _write(path, _line("a", "one"), _line("b", "two", chosen=True), _line("c", "three", chosen=True), at=1)
    keys = _file(path)
    assert keys.find("two")
    trying, go_on = threading.Event(), threading.Event()

    def held(key: str, hashed: str) -> bool:
        if hashed.startswith("scrypt"):
            trying.set()
            assert go_on.wait(10)
        return verify_key(key, hashed)

    monkeypatch.setattr("gateway.web.keys.verify_key", held)
    first = threading.Thread(target=keys.find, args=("wrong",))
    first.start()
    assert trying.wait(10)
    try:
        with pytest.raises(Unavailable, match="keys-busy"):
            keys.find("three")
        meanwhile = [keys.find("one"), keys.find("two")]
    finally:
        go_on.set()
        first.join()

    assert [key and key.name for key in (*meanwhile, keys.find("three"))] == ["a", "b", "c"]


# --- a file with faults --------------------------------------------------------------------------------------------------


def test_faulty_file_is_told_of_with_its_lines_until_it_is_mended(tmp_path: Path) -> None:
    path, told = tmp_path / "keys", list[tuple[str, Mapping[str, object]]]()
    _write(path, _line("a", "one"), _line("b", "two"), at=1)
    keys = _file(path, told)
    assert keys.problems() == ()

    _write(path, _line("b", "two"), "nonsense", at=2)
    faulty = [(p.text, p.path, p.line) for p in keys.problems()]
    assert keys.find("one")
    _write(path, _line("b", "two"), at=3)

    assert faulty == [("web.keys-kept", str(path), None), ("web.key-line", str(path), 2)]
    assert (keys.problems(), keys.find("one")) == ((), None)
    assert told == [("keys.refused", {"code": "web.key-line", "line": 2})]


def test_missing_file_is_told_of_until_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    _write(path, _line("a", "one"), at=1)
    keys = _file(path)

    path.rename(tmp_path / "aside")
    missing = [p.text for p in keys.problems()]
    (tmp_path / "aside").rename(path)

    assert (missing, keys.problems()) == (["web.keys-kept", "web.keys-unreadable"], ())
