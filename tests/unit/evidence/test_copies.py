"""Files of copies: what is written is read, what a crash left half written harms nothing, and nobody's other file is touched."""

import json
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import NotReadable, Unavailable
from gateway.evidence.copies import (
    LONGEST_LINE,
    Copy,
    countersign,
    is_witnessed_by,
    last_of,
    open_journal,
    read_copies,
    read_copy,
    write_copy,
    write_line,
)
from gateway.evidence.heads import write_file
from gateway.security.keys import SigningKey
from gateway.testing.growing import Tree, make_key
from gateway.testing.settling import Time


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return make_key(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def copies(key: SigningKey) -> list[Copy]:
    tree = Tree(key, clock=Time())
    return [Copy(signed=tree.grow(size)) for size in (3, 7, 9)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "somewhere" / "heads.jsonl"


def append(path: Path, *copies: Copy) -> None:
    with open_journal(path, wait=True) as journal:
        assert journal
        for copy in copies:
            journal.append(copy)


def test_what_is_appended_is_read_and_the_last_is_known(path: Path, copies: list[Copy]) -> None:
    append(path, *copies[:2])
    append(path, copies[2])

    assert read_copies(path.read_bytes()) == tuple(copies)
    assert last_of(path) == copies[2]


def test_a_file_that_is_not_there_has_no_last(path: Path) -> None:
    assert last_of(path) is None


def test_a_line_cut_off_by_a_crash_counts_for_nothing_and_goes(path: Path, copies: list[Copy]) -> None:
    append(path, copies[0])
    line = write_line(copies[1])
    for cut in (1, len(line) // 2, len(line) - 1):
        path.write_bytes(write_line(copies[0]) + b"\n" + line[:cut])

        assert (read_copies(path.read_bytes()), last_of(path)) == ((copies[0],), copies[0])

    append(path, copies[2])
    assert read_copies(path.read_bytes()) == (copies[0], copies[2])


def test_a_single_line_without_its_end_is_read(copies: list[Copy]) -> None:
    assert read_copies(write_line(copies[0])) == (copies[0],)


def test_what_the_command_wrote_is_read(copies: list[Copy], key: SigningKey) -> None:
    assert read_copies(write_file((copy.signed for copy in copies), key.certificates)) == tuple(copies)


@pytest.mark.parametrize(
    "content", [b"x" * 20, b"a list of something else\n", b"\0" * (LONGEST_LINE + 9), b'{"head":1}\n', b'{"head":' * 2000]
)
def test_a_file_that_holds_something_else_is_left_alone(path: Path, copies: list[Copy], content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with open_journal(path, wait=True) as journal:
        assert journal
        with pytest.raises(Unavailable):
            journal.last()
        if not content.endswith(b"\n"):
            with pytest.raises(Unavailable):
                journal.append(copies[0])

    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b'{"head":', b'{"head":{}}', b'{"head":1}\n{"head":2}\n', b'{"head":' + b"[" * 100_000])
def test_what_is_no_copy_is_refused(content: bytes) -> None:
    with pytest.raises(NotReadable):
        read_copies(content)


def test_a_damaged_line_between_others_is_refused(copies: list[Copy]) -> None:
    data = b"\n".join((write_line(copies[0]), write_line(copies[1])[:-9], write_line(copies[2]), b""))

    with pytest.raises(NotReadable):
        read_copies(data)


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable) as refused, open_journal(tmp_path / "file" / "heads.jsonl", wait=True):
        pass

    assert refused.value.problems[0].text == "ledger.copies-closed"


def test_a_full_disk_is_told_of_and_what_was_held_stays(path: Path, copies: list[Copy]) -> None:
    append(path, copies[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, hard))
    try:
        with pytest.raises(Unavailable) as refused:
            append(path, copies[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert refused.value.problems[0].text == "ledger.copies-closed"
    assert last_of(path) == copies[0]
    append(path, copies[1])
    assert read_copies(path.read_bytes()) == tuple(copies[:2])


def test_one_writer_at_a_time(path: Path) -> None:
    with open_journal(path, wait=False) as first, open_journal(path, wait=False) as second:
        assert first
        assert second is None


def test_a_countersignature_holds_for_its_head_time_and_key_only(copies: list[Copy], key: SigningKey) -> None:
    witnesses = {key.certificates[0].sha256: key.certificates[0]}
    copy = countersign(copies[0].signed, key, at=Time()())
    again = read_copy(json.loads(write_line(copy)))

    assert again == copy
    assert copy.witnessed
    assert is_witnessed_by(again, witnesses)
    assert not is_witnessed_by(again, {})
    assert not is_witnessed_by(copies[0], witnesses)
    assert not is_witnessed_by(replace(again, signed=copies[1].signed), witnesses)
    assert not is_witnessed_by(replace(again, witnessed=replace(copy.witnessed, at=copy.witnessed.at.replace(year=2027))), witnesses)
    assert not is_witnessed_by(replace(again, witnessed=replace(copy.witnessed, signature=copies[0].signed.signature)), witnesses)
    assert not is_witnessed_by(
        replace(again, witnessed=replace(copy.witnessed, method="http://www.w3.org/2000/09/xmldsig#hmac-sha1")), witnesses
    )


@pytest.mark.parametrize("change", [{"at": "yesterday"}, {"at": "2026-01-01T00:00:00"}, {"signature": "!"}, {"key": 1}, {"method": None}])
def test_a_countersignature_in_another_form_is_refused(copies: list[Copy], key: SigningKey, change: dict[str, object]) -> None:
    members = write_copy(countersign(copies[0].signed, key, at=Time()()))
    members["witnessed"] = {**members["witnessed"], **change}  # type: ignore[dict-item]  # an object, as the line before made it

    with pytest.raises(NotReadable):
        read_copy(members)
