"""Which message an Idempotency-Key stands for; run over each outbox."""

import threading

import pytest

from gateway.errors import Conflict
from gateway.ports import Outbox
from gateway.testing.entries import BNN, envelope_text, make_entry


@pytest.mark.parametrize("signed_anew", [False, True])
def test_repeat_key_that_first_comes_with_a_repeat_is_kept(outbox: Outbox, signed_anew: bool) -> None:  # noqa: FBT001  # a case
    first = make_entry()
    outbox.record(first)
    keyed = make_entry(repeat_key="K", body=b"signed again" if signed_anew else None)

    assert (outbox.record(keyed) if signed_anew else outbox.answered(keyed.arrival)) == first.answer

    with pytest.raises(Conflict) as refused:
        outbox.record(make_entry(key=b"k2", repeat_key="K"))
    assert refused.value.problems[0].text == "outbox.repeat-key"


@pytest.mark.parametrize("signed_anew", [False, True])
def test_repeat_under_the_key_of_another_document_is_refused(outbox: Outbox, signed_anew: bool) -> None:  # noqa: FBT001  # a case
    outbox.record(make_entry(repeat_key="K"))
    outbox.record(make_entry(key=b"k2"))
    keyed = make_entry(key=b"k2", repeat_key="K", body=b"signed again" if signed_anew else None)

    with pytest.raises(Conflict) as refused:
        outbox.record(keyed) if signed_anew else outbox.answered(keyed.arrival)

    assert refused.value.problems[0].text == "outbox.repeat-key"


@pytest.mark.parametrize("channel", ["127.0.0.1", "10.0.0.9"])
def test_repeat_under_a_second_key_or_by_another_channel_leaves_that_key_free(outbox: Outbox, channel: str) -> None:
    first = make_entry(repeat_key="K")
    outbox.record(first)

    assert outbox.record(make_entry(repeat_key="K2", channel=channel, body=b"signed again")) == first.answer

    outbox.record(make_entry(key=b"k2", repeat_key="K2", channel=channel))
    assert len(outbox.claim({BNN: 10})) == 2


def test_repeat_key_of_altered_content_is_not_kept(outbox: Outbox) -> None:
    outbox.record(make_entry())
    with pytest.raises(Conflict):
        outbox.record(make_entry(content=envelope_text("<Phyto>2</Phyto>"), repeat_key="K"))

    outbox.record(make_entry(key=b"k2", repeat_key="K"))

    assert len(outbox.claim({BNN: 10})) == 2


def test_one_repeat_key_with_repeats_of_many_documents_at_once_stands_for_one(outbox: Outbox) -> None:
    keys = [f"k{n}".encode() for n in range(8)]
    for key in keys:
        outbox.record(make_entry(key=key))
    told: list[str] = []

    def repeat(key: bytes) -> None:
        try:
            outbox.answered(make_entry(key=key, repeat_key="K").arrival)
            told.append("answered")
        except Conflict as refused:
            told.append(refused.problems[0].text)

    threads = [threading.Thread(target=repeat, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(told) == ["answered", *["outbox.repeat-key"] * 7]
