"""What goes when its period is over, what stays, and what a late repeat is told."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.errors import Conflict, NotValid, Unavailable
from gateway.lifecycle import Delivered, Failed, Rejected
from gateway.model import MessageId, Periods, Schedule
from gateway.outbox import archive, purging
from gateway.outbox import retention as module
from gateway.outbox.holds import Holds
from gateway.outbox.mender import carry
from gateway.outbox.orders import Act, Choice, JobState, Order
from gateway.ports import Entry, Tx
from gateway.store.tables import ATTEMPTS, METADATA
from gateway.testing.aging import CONTENT, DAY, PERIODS, RECORD, SCHEDULE, Aging, moved
from gateway.testing.entries import BNN, NSW, envelope_text


def plain(aging: Aging) -> str:
    """Everything the tables hold without encryption."""

    def work(tx: Tx) -> list[tuple[Any, ...]]:
        return [row for table in METADATA.tables.values() for row in tx.rows(select(table))]

    return "\n".join(repr([value for value in row if not isinstance(value, bytes)]) for row in aging.database.read(work))


# --- what goes ---------------------------------------------------------------------------------------------------------


def test_content_goes_when_its_period_is_over_and_not_before(aging: Aging) -> None:
    entry = aging.done()
    aging.pass_(CONTENT)

    assert aging.run() == []
    assert aging.queries.content(entry.arrival.id) == entry.envelope.document.content
    aging.pass_(timedelta(milliseconds=1))
    (done,) = aging.run()

    assert (done.stage, done.messages) == ("content", 1)
    assert aging.purged(entry)


def test_requests_replies_keys_and_names_go_with_the_content(aging: Aging) -> None:
    entry = aging.done(content=envelope_text("<Phyto>Nguyen Van A</Phyto>"))
    delivery = entry.receipt.deliveries[0]
    aging.pass_(CONTENT + DAY)
    aging.run()

    told = plain(aging)
    assert "'C1'" not in told  # the business key
    assert '"ministry"' not in told  # the header
    assert [aging.queries.content(entry.arrival.id, part) for part in ("document", "body")] == [None, b""]
    row = aging.queries.message(entry.arrival.id)
    assert row is not None
    assert (row.procedure, row.type, row.reference, row.sha256, row.signers) == ("P1", "10", "R1", "ab" * 32, ())
    assert aging.queries.messages(key="C1").items == ()
    kept = aging.database.read(lambda tx: tx.rows(select(METADATA.tables["attempts"])))
    assert [(row[0], row[2], len(row[4])) for row in kept] == [(delivery, 1, 64)]  # number and digest stay
    assert aging.payloads.unlock(delivery, kept[0][1], kept[0][5]) == b""
    assert [row[-1] for row in aging.database.read(lambda tx: tx.rows(select(METADATA.tables["outcomes"])))] == [None]


def test_partners_words_go_and_codes_stay(aging: Aging) -> None:
    aging.accept()
    aging.accept()
    aging.end(Rejected(reason="Ông Nguyen Van A thiếu giấy tờ"))
    aging.end(Failed(code="http-500"))
    aging.pass_(CONTENT + DAY)
    aging.run()

    assert {row.cause for row in aging.queries.deliveries().items} == {"", "http-500"}
    assert "Nguyen" not in plain(aging)


def test_staffs_words_go_and_so_do_those_of_the_job_that_said_them(aging: Aging) -> None:
    aging.accept()
    mending = aging.staff.mending  # type: ignore[attr-defined]  # of staff at a database
    order = Order(act=Act.CANCEL, reason="Bà Nguyen Thi B xin rút")
    job = mending.order(order, Choice(party="BNN", state="queued"), by="key:lan")
    carry(mending, mending.take(), pause=lambda _: False)
    aging.pass_(CONTENT)
    aging.run()
    assert "Nguyen" in plain(aging)

    aging.pass_(DAY)
    aging.run()

    assert "Nguyen" not in plain(aging)
    assert (mending.job(job.id).state, mending.job(job.id).done, mending.job(job.id).order.reason) == (JobState.DONE, 1, "")


def test_timeline_stays_and_tells_of_the_purge(aging: Aging) -> None:
    entry = aging.done()
    aging.pass_(CONTENT + DAY)
    aging.run()

    moments = aging.queries.timeline(entry.arrival.id)

    assert [m.kind for m in moments] == ["message.accepted", "delivery.routed", "delivery.sending", "delivery.settled", "message.purged"]
    assert moments[-1].at == aging.clock()


def test_refused_message_loses_its_body_and_its_answer(aging: Aging) -> None:
    number = aging.refuse()
    aging.pass_(CONTENT + DAY)
    aging.run()

    assert [aging.queries.content(number, part) for part in ("body", "answer")] == [None, None]


def test_record_goes_after_its_own_period_and_leaves_the_ledger(aging: Aging) -> None:
    entry = aging.done()
    aging.pass_(CONTENT + DAY)
    aging.run()
    aging.pass_(RECORD)

    assert [(done.stage, done.messages) for done in aging.run()] == [("archive", 0), ("record", 1)]  # the archive first, then what finds it
    assert aging.queries.message(entry.arrival.id) is None
    assert aging.queries.deliveries(message=entry.arrival.id).items == ()
    assert aging.queries.dossier("P1", "R1", "2026") is None
    assert [m.kind for m in aging.queries.timeline(entry.arrival.id)][-1] == "message.forgotten"


def test_each_procedure_and_party_has_its_own_period(aging: Aging) -> None:
    plain, kept = aging.done(), aging.accept(parties=(NSW,))
    aging.end(Delivered(), NSW)
    schedule = replace(SCHEDULE, parties={"NSW": replace(PERIODS, content=20 * DAY)}, procedures={"P1": replace(PERIODS, content=DAY)})
    sender_is_nsw = replace(schedule, parties={"BNN": replace(PERIODS, content=20 * DAY)})
    aging.pass_(15 * DAY)

    aging.run(sender_is_nsw)

    assert not aging.purged(plain)
    assert aging.purged(kept)


def test_unknown_procedures_are_kept_where_nothing_says_how_long(aging: Aging) -> None:
    entry = aging.done()
    aging.pass_(1000 * DAY)

    assert aging.run(Schedule(procedures={"P2": PERIODS})) == []
    assert not aging.purged(entry)


def test_a_period_beyond_all_time_keeps_everything(aging: Aging) -> None:
    entry = aging.done()
    endless = Periods(content=timedelta(days=366 * 999_999), record=timedelta(days=366 * 999_999))

    assert aging.run(Schedule(otherwise=endless)) == []
    assert not aging.purged(entry)


# --- what stays --------------------------------------------------------------------------------------------------------


def test_open_stays_until_a_run_after_it_has_ended(aging: Aging) -> None:
    entry = aging.accept()
    aging.pass_(CONTENT + DAY)
    aging.run()
    assert not aging.purged(entry)

    aging.end(Delivered())
    aging.run()

    assert aging.purged(entry)


@pytest.mark.parametrize("kind", ["message", "dossier", "party", "procedure", "sender"])
def test_held_stays_until_it_is_released(aging: Aging, kind: str) -> None:
    entry = aging.done()
    values = {"message": entry.arrival.id, "dossier": "P1/R1/2026", "party": "BNN", "procedure": "P1", "sender": "NSW"}
    hold = aging.holds.place("party" if kind == "sender" else kind, values[kind], by="lan", reason="vụ án 12")  # type: ignore[arg-type]
    aging.pass_(CONTENT + DAY)
    aging.run()
    assert not aging.purged(entry)

    aging.holds.release(hold.id, by="lan", reason="kết thúc")
    aging.run()

    assert aging.purged(entry)


def test_hold_on_another_thing_keeps_nothing(aging: Aging) -> None:
    entry = aging.done()
    holds = Holds(aging.database, entropy=os.urandom, known=lambda _kind, _value: True)
    for kind, value in (("dossier", "P1/R2/2026"), ("party", "IPPC"), ("procedure", "P2")):
        holds.place(kind, value, by="lan", reason="x")  # type: ignore[arg-type]
    aging.pass_(CONTENT + DAY)
    aging.run()

    assert aging.purged(entry)


def test_hold_placed_while_a_step_is_made_keeps_what_it_covers(aging: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, other = aging.done(), aging.done()
    aging.pass_(CONTENT + DAY)
    write = archive.write_archive

    def held_meanwhile(path: Path, data: bytes) -> None:
        write(path, data)
        aging.holds.place("message", entry.arrival.id, by="lan", reason="x")

    monkeypatch.setattr(module, "write_archive", held_meanwhile)
    aging.run()

    assert not aging.purged(entry)
    assert aging.purged(other)


def expired(aging: Aging) -> Entry:
    """Have a message's content in an archive whose time is over."""
    entry = aging.done()
    aging.pass_(CONTENT + DAY)
    aging.run()
    aging.pass_(RECORD)
    return entry


def test_hold_placed_in_the_moment_in_which_an_archive_ends_keeps_it(aging: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = expired(aging)

    def held_meanwhile(path: Path) -> bool:
        aging.holds.place("message", entry.arrival.id, by="lan", reason="x")
        return path.parent.is_dir()

    monkeypatch.setattr(module, "reachable", held_meanwhile)

    assert aging.run() == []
    assert aging.opened().manifest["messages"]
    assert aging.queries.message(entry.arrival.id) is not None


def test_hold_placed_after_an_archive_was_given_up_does_not_bring_it_back(aging: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = expired(aging)
    remove = archive.remove_archive

    def held_late(path: Path) -> bool:
        aging.holds.place("message", entry.arrival.id, by="lan", reason="x")
        return remove(path)

    monkeypatch.setattr(module, "remove_archive", held_late)

    assert [done.stage for done in aging.run()] == ["archive"]  # its record is held
    assert aging.archives() == []


def test_file_of_an_archive_goes_though_the_run_that_gave_it_up_died(aging: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
    expired(aging)

    def dying(_path: Path) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "remove_archive", dying)
    with pytest.raises(KeyboardInterrupt):
        aging.run()
    assert aging.archives()
    monkeypatch.undo()
    aging.pass_(module.TURN)

    assert [done.stage for done in aging.run()] == ["record"]
    assert aging.archives() == []


def test_archive_whose_folder_is_not_there_is_not_given_up(aging: Aging) -> None:
    expired(aging)
    away = aging.folder.rename(aging.folder.with_name("elsewhere"))

    assert aging.run() == []

    away.rename(aging.folder)
    assert [done.stage for done in aging.run()] == ["archive", "record"]
    assert aging.archives() == []


def test_replayed_and_ended_while_a_step_is_made_stays_until_all_of_it_is_known(aging: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = aging.accept()
    aging.end(Failed(code="timeout"))
    aging.pass_(CONTENT + DAY)

    def load(tx: Tx, *given: Any, **named: Any) -> purging.Loaded:
        loaded = purging.load(tx, *given, **named)
        aging.staff.replay(entry.receipt.deliveries[0], by="lan")
        aging.end(Failed(code="timeout"))
        return loaded

    monkeypatch.setattr(module, "load", load)
    aging.run()
    monkeypatch.undo()

    assert not aging.purged(entry)
    aging.run()
    sealed = [request for (request,) in aging.database.read(lambda tx: tx.rows(select(ATTEMPTS.c.request)))]
    assert aging.purged(entry)
    assert len(sealed) == 2
    assert len({len(request) for request in sealed}) == 1  # nothing is left in either


def test_what_cannot_be_decrypted_stays_and_stops_nothing(aging: Aging) -> None:
    lost, other = aging.done(), aging.done()
    payloads = METADATA.tables["payloads"]
    broken = payloads.update().where(payloads.c.message == lost.arrival.id).values(document=b"\x01x")
    aging.database.commit(lambda tx: tx.changed(broken))
    aging.pass_(CONTENT + DAY)
    aging.run()

    assert aging.purged(other)
    with pytest.raises(Unavailable):
        aging.queries.content(lost.arrival.id)


# --- a late repeat -------------------------------------------------------------------------------------------------------


def test_identical_repeat_of_a_purged_message_gets_its_first_answer(aging: Aging) -> None:
    entry = aging.done()
    aging.pass_(CONTENT + DAY)
    aging.run()

    assert aging.outbox.answered(entry.arrival) == entry.answer


def test_repeat_signed_anew_gets_the_first_answer_and_no_second_effect(aging: Aging) -> None:
    entry = aging.done()
    aging.pass_(CONTENT + DAY)
    aging.run()
    again = replace(entry, arrival=replace(entry.arrival, id=MessageId("again"), body=b"signed anew"))

    assert aging.outbox.record(again) == entry.answer
    assert aging.outbox.claim({BNN: 10}) == []


def test_other_content_under_the_key_of_a_purged_message_is_refused(aging: Aging) -> None:
    entry = aging.done()
    aging.pass_(CONTENT + DAY)
    aging.run()
    document = replace(entry.envelope.document, content=envelope_text("<Phyto>other</Phyto>"))
    other = replace(
        entry, arrival=replace(entry.arrival, id=MessageId("o"), body=b"o"), envelope=replace(entry.envelope, document=document)
    )

    with pytest.raises(Conflict) as refused:
        aging.outbox.record(other)

    assert refused.value.problems[0].text == "outbox.conflict"


def test_forgotten_message_is_a_new_one(aging: Aging) -> None:
    entry = aging.done()
    aging.pass_(RECORD + CONTENT + DAY)
    schedule = Schedule(otherwise=replace(PERIODS, archive=timedelta(0)))
    aging.run(schedule)

    again = moved(entry, aging.clock())

    assert aging.outbox.record(again) == again.answer
    assert len(aging.outbox.claim({BNN: 10})) == 1


def test_purged_delivery_that_is_replayed_ends_set_aside_by_its_name(aging: Aging) -> None:
    aging.accept()
    claim = aging.end(Failed(code="http-500"))
    aging.pass_(CONTENT + DAY)
    aging.run()

    aging.staff.replay(claim.delivery, by="lan")
    (again,) = aging.outbox.claim({BNN: 1})

    with pytest.raises(NotValid) as refused:
        aging.outbox.load(again)
    assert refused.value.problems[0].text == "outbox.purged"
