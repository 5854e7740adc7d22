import os
from pathlib import Path

import pytest

from gateway.errors import GatewayError, explain
from gateway.model import PartyCode
from gateway.web.keys import KeyFile, hash_key, new_key, read_keys, verify_key

SALT = bytes(range(16))


def _line(name: str, key: str, *, roles: str = "reader", party: str = "") -> str:
    return f"{name}:{party}:{roles}:{hash_key(key, salt=SALT)}"


def _write(path: Path, *lines: str, at: int) -> None:
    path.write_text("\n".join(lines), "utf-8")
    os.utime(path, ns=(at, at))


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
        KeyFile(tmp_path / "none")


def test_key_file_finds_who_presents_a_key(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    _write(path, _line("a", "one"), _line("b", "two"), at=1)
    keys = KeyFile(path)

    found = [keys.find(key) for key in ("two", "two", "three", "", "x" * 201, "hai ✓")]

    assert [key.name if key else None for key in found] == ["b", "b", None, None, None, None]


def test_removed_key_is_no_longer_known(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    _write(path, _line("a", "one"), _line("b", "two"), at=1)
    keys = KeyFile(path)
    assert keys.find("one")

    _write(path, _line("b", "two"), at=2)

    assert keys.find("one") is None
    assert keys.find("two")


def test_wrong_or_missing_key_file_never_replaces_the_one_in_force(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    _write(path, _line("a", "one"), at=1)
    keys = KeyFile(path)

    _write(path, "nonsense", at=2)
    assert keys.find("one")
    path.unlink()

    assert keys.find("one")
