"""Archives: what is in them, and how long they stay."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.errors import NotReadable, Unavailable
from gateway.model import Schedule
from gateway.outbox.archive import read_archive
from gateway.testing.aging import ARCHIVE, CONTENT, DAY, PERIODS, RECORD, Aging
from gateway.testing.entries import envelope_text

# --- archives ------------------------------------------------------------------------------------------------------------


def test_archive_holds_everything_that_went_with_its_digests(aging: Aging) -> None:
    entry = aging.done()
    delivery = entry.receipt.deliveries[0]
    aging.pass_(CONTENT + DAY)
    aging.run()

    opened = aging.opened()

    (told,) = opened.manifest["messages"]
    contents = {name.removeprefix(entry.arrival.id + "/"): part for name, part in opened.parts.items()}
    exchanged = {name: part for name, part in contents.items() if name.startswith(delivery)}
    assert {name: contents[name] for name in ("document", "body", "answer")} == {
        "document": entry.envelope.document.content,
        "body": entry.arrival.body,
        "answer": entry.answer.body,
    }
    assert sorted(exchanged.values()) == [b"reply", b"request of " + entry.arrival.id.encode()]
    assert (told["id"], told["procedure"], json.loads(told["keys"])) == (entry.arrival.id, "P1", [["certificate", "C1"]])
    assert opened.damaged == ()


def test_archive_on_disk_is_encrypted(aging: Aging) -> None:
    aging.done(content=envelope_text("<Phyto>Nguyen Van A</Phyto>"))
    aging.pass_(CONTENT + DAY)
    aging.run()

    (path,) = aging.archives()
    assert b"Nguyen" not in path.read_bytes()
    assert b"manifest" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("change", [b"", b"no archive", None])
def test_what_is_no_archive_is_refused(aging: Aging, change: bytes | None) -> None:
    aging.done()
    aging.pass_(CONTENT + DAY)
    aging.run()
    (path,) = aging.archives()
    data = path.read_bytes()[:-1] + b"\x00" if change is None else change

    with pytest.raises((NotReadable, Unavailable)):
        read_archive(data, cipher=aging.payloads.cipher)


def test_archive_goes_when_its_own_period_is_over(aging: Aging) -> None:
    aging.done()
    aging.pass_(CONTENT + DAY)
    aging.run()
    assert len(aging.archives()) == 1
    aging.pass_(ARCHIVE)

    assert [done.stage for done in aging.run()] == ["archive"]
    assert aging.archives() == []
    assert aging.run() == []


def test_archive_with_something_held_stays(aging: Aging) -> None:
    entry = aging.done()
    aging.pass_(CONTENT + DAY)
    aging.run()
    hold = aging.holds.place("dossier", "P1/R1/2026", by="lan", reason="x")
    aging.pass_(2 * RECORD)

    assert aging.run() == []
    assert len(aging.archives()) == 1
    assert aging.queries.message(entry.arrival.id) is not None
    aging.holds.release(hold.id, by="lan", reason="x")
    assert [done.stage for done in aging.run()] == ["archive", "record"]


def test_archive_whose_folder_is_away_stays_known(aging: Aging) -> None:
    aging.done()
    aging.pass_(CONTENT + DAY)
    aging.run()
    aging.folder.rename(aging.folder.with_name("elsewhere"))
    aging.pass_(ARCHIVE)
    assert aging.run() == []

    aging.folder.with_name("elsewhere").rename(aging.folder)

    assert [done.stage for done in aging.run()] == ["archive"]


def test_without_an_archive_period_nothing_is_archived(aging: Aging) -> None:
    entry = aging.done()
    aging.pass_(CONTENT + DAY)
    aging.run(Schedule(otherwise=replace(PERIODS, archive=timedelta(0))))

    assert aging.purged(entry)
    assert aging.archives() == []


def test_archive_that_cannot_be_written_keeps_everything(aging: Aging) -> None:
    entry = aging.done()
    aging.pass_(CONTENT + DAY)
    aging.folder.write_text("a file where the folder should be", "utf-8")

    with pytest.raises(Unavailable) as refused:
        aging.run()

    assert refused.value.problems[0].text == "retention.not-archived"
    assert not aging.purged(entry)
