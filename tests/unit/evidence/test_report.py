"""The report: what Decree 336 asks to be printed, in both languages, on screen and on paper."""

from dataclasses import asdict, replace
from html import unescape

import pytest

from gateway.evidence.record import AttachmentPart, SignerPart, read_record
from gateway.evidence.report import MAX_TIMELINE, page_of, write_reports
from gateway.testing.evidence import Court, unpacked


@pytest.fixture(scope="module")
def files(court: Court) -> dict[str, bytes]:
    return unpacked(court.export(court.deliver()))[0]


@pytest.mark.parametrize(("language", "label"), [("vi", "Thời gian ký"), ("en", "Signing time")])
def test_the_page_says_who_signed_how_to_reach_them_and_when(files: dict[str, bytes], language: str, label: str) -> None:
    page = unescape(files[f"report-{language}.html"].decode())

    assert all(text in page for text in ("Nguyễn Văn An", "Công ty Nông sản Thử Nghiệm", "0101234567", label, "21/11/2026 08:00:00"))
    assert f'<html lang="{language}">' in page


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_text_has_words(files: dict[str, bytes], language: str) -> None:
    page = files[f"report-{language}.html"].decode()

    assert "printed." not in page
    assert "…" not in page


@pytest.mark.parametrize(
    ("language", "words"),
    [("vi", ("Tệp đính kèm", "Biên nhận của hai bên", "không kèm trong gói")), ("en", ("Attachments", "Receipts of both sides", "not in"))],
)
def test_attachments_and_receipts_are_printed(court: Court, language: str, words: tuple[str, ...]) -> None:
    message = court.deliver(attachments=(court.attach(b"x" * 1234, name="giấy <kiểm dịch>.pdf"),))

    whole, less = (
        unescape(unpacked(court.export(message, attachments=each))[0][f"report-{language}.html"].decode()) for each in (True, False)
    )

    assert all(text in whole for text in (*words[:2], "1. giấy <kiểm dịch>.pdf", "application/pdf", "1,234", "answer.bin", "/01-reply.bin"))
    assert (words[2] in whole, words[2] in less) == (False, True)


def test_contact_and_stated_time_are_printed_where_they_are_known(files: dict[str, bytes]) -> None:
    record = read_record(files["evidence.json"])
    message = record.messages[0]
    signer = message.signers[0].model_copy(update={"contact": "an@example.vn", "signed_at": message.received_at})

    page = page_of(record.model_copy(update={"messages": (message.model_copy(update={"signers": (signer,)}),)}), "en")

    facts = {name: value for section in page.sections for name, value in section.facts}
    assert (facts["Contact"], facts["Signing time"]) == ("an@example.vn", "21/11/2026 08:00:00 UTC")


def test_whatever_a_certificate_says_stays_text(files: dict[str, bytes]) -> None:
    record = read_record(files["evidence.json"])
    message = record.messages[0]
    signer: SignerPart = message.signers[0].model_copy(update={"name": "<script>alert(1)</script>"})

    pages = write_reports(record.model_copy(update={"messages": (message.model_copy(update={"signers": (signer,)}),)}))

    assert b"<script" not in pages["report-en.html"]
    assert b"&lt;script&gt;" in pages["report-en.html"]


@pytest.mark.parametrize("trick", ["\u202e", "\u2066", "\u200f", "\x9b", "\u2028"])
def test_nothing_turns_the_direction_of_what_is_read(files: dict[str, bytes], trick: str) -> None:
    record = read_record(files["evidence.json"])
    odd = f"giấy{trick}fdp.exe"
    message = record.messages[0]
    signer = message.signers[0].model_copy(update={"name": odd})
    beside = AttachmentPart(number=1, name=odd, media_type=odd, size=1, sha256="0" * 64, file="")
    told = message.model_copy(update={"signers": (signer,), "attachments": (beside,), "proof": odd, "sender": odd})

    pages = (page_of(record.model_copy(update={"gateway": odd, "messages": (told,)}), language) for language in ("vi", "en"))

    for shown in map(str, map(asdict, pages)):
        assert shown.count(f"giấy[U+{ord(trick):04X}]fdp.exe") >= 5
        assert repr(trick)[1:-1] not in shown


def test_pages_need_nothing_from_elsewhere(files: dict[str, bytes]) -> None:
    page = files["report-vi.html"].decode()

    assert "default-src 'none'" in page
    assert not any(mark in page for mark in ("http://", "https://", "src=", "url(", "@import", "<link"))


def test_paper_has_the_letters_of_vietnamese_embedded_and_is_the_same_each_time(files: dict[str, bytes]) -> None:
    again = write_reports(read_record(files["evidence.json"]))

    assert files["report-vi.pdf"].startswith(b"%PDF-")
    assert files["report-vi.pdf"].count(b"/FontFile2") == 2
    assert b"DejaVuSans" in files["report-vi.pdf"]
    assert again == {name: content for name, content in files.items() if name.startswith("report-")}


def test_a_very_long_history_is_cut_and_says_so(files: dict[str, bytes]) -> None:
    record = read_record(files["evidence.json"])
    message = record.messages[0]
    long = message.model_copy(update={"events": message.events * MAX_TIMELINE})

    page = page_of(record.model_copy(update={"messages": (long,)}), "en")

    timeline = next(section for section in page.sections if section.title.startswith("What happened"))
    more = (len(message.events) - 1) * MAX_TIMELINE
    assert (len(timeline.rows), timeline.note) == (MAX_TIMELINE, f"{more} more events stand in evidence.json.")
    assert replace(timeline, rows=()).rows == ()
