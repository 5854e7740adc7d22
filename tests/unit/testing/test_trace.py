"""What strace wrote down is read whole, also what a kill cut off."""

from pathlib import Path

import pytest

from gateway.testing.faults.trace import UNKNOWN, Disk, read

PLACE = "TCP:[127.0.0.1:1->127.0.0.1:2]"


@pytest.mark.parametrize("end", [") = 2", ") = ?", " <unfinished ...>"])
def test_an_answer_is_seen_whether_or_not_its_writing_came_back(tmp_path: Path, end: str) -> None:
    (tmp_path / "log").write_text(f'7 write(9<{PLACE}>, "\\x4f\\x4b", 2{end}\n', "ascii")

    (call,) = read(tmp_path / "log")

    assert (call.name, call.place, call.data) == ("write", PLACE, b"OK")
    assert call.result == (2 if end == ") = 2" else UNKNOWN)


@pytest.mark.parametrize(("synced", "held"), [(") = 0", {"/d/f": b"OK"}), (") = ?", {}), (" <unfinished ...>", {})])
def test_only_a_sync_that_came_back_makes_anything_durable(tmp_path: Path, synced: str, held: dict[str, bytes]) -> None:
    written = '7 pwrite64(9</d/f>, "\\x4f\\x4b", 2, 0) = 2\n'
    (tmp_path / "log").write_text(f"{written}7 fdatasync(9</d/f>{synced}\n", "ascii")
    disk = Disk(Path("/d"))

    for call in read(tmp_path / "log"):
        disk.passes(call)

    assert disk.durable == held
