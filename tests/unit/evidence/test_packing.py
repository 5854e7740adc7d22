"""The ZIP of a container: one form, and no trick that makes two readers see two things."""

import hashlib
import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import NotReadable, NotValid
from gateway.evidence import packing
from gateway.evidence.packing import MIMETYPE
from gateway.testing.evidence import packed as pack
from gateway.testing.evidence import unpacked as unpack

FILES = {"a.txt": b"one", "META-INF/b.xml": b"two" * 100}


def zipped(write: Callable[[zipfile.ZipFile], None], *, first: str = MIMETYPE) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo("mimetype"), first)
        write(file)
    return buffer.getvalue()


def test_what_is_packed_is_unpacked() -> None:
    assert unpack(pack(FILES)) == (FILES, ())


def test_any_zip_reader_reads_it_with_the_mimetype_first_and_stored() -> None:
    with zipfile.ZipFile(io.BytesIO(pack(FILES))) as file:
        first = file.infolist()[0]

        assert file.testzip() is None
        assert {name: file.read(name) for name in file.namelist()} == {"mimetype": MIMETYPE.encode(), **FILES}
        assert (first.filename, first.compress_type, first.header_offset, first.extra) == ("mimetype", zipfile.ZIP_STORED, 0, b"")
    assert pack(FILES)[30:38] == b"mimetype"
    assert pack(FILES)[38:].startswith(MIMETYPE.encode())


def test_every_flipped_bit_is_refused_or_told_of() -> None:
    data = pack(FILES)
    unseen = []

    for at in range(len(data)):
        altered = data[:at] + bytes((data[at] ^ (1 << at % 8),)) + data[at + 1 :]
        try:
            files, differences = unpack(altered)
        except NotReadable:
            continue
        if not differences and files == FILES:
            unseen.append(at)

    assert unseen == []


@pytest.mark.parametrize("cut", [1, 22, 60, 200, 330])
def test_what_is_cut_off_is_told_of(cut: int) -> None:
    data = pack(FILES)[:-cut]
    try:
        told = [problem.text for problem in unpack(data)[1]]
    except NotReadable as refused:
        told = [problem.text for problem in refused.problems]

    assert told in (["container.not-one-form"], ["container.cut-short"])


@pytest.mark.parametrize("added", [b"x", b"PK\5\6" + bytes(18), pack({"a.txt": b"other"})])
def test_what_is_added_before_or_behind_is_told_of(added: bytes) -> None:
    assert [problem.text for problem in unpack(pack(FILES) + added)[1]] == ["container.not-one-form"]
    with pytest.raises(NotReadable):
        unpack(b"#!" + pack(FILES))


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../b", "a//b", "a\\b", "C:a", "", ".", "a/", "./a", "á", "a\0b"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        pack({name: b""})
    raw = pack({"x" * len(name.encode()): b""}).replace(b"x" * len(name.encode()), name.encode()) if name else b""
    with pytest.raises(NotReadable):
        unpack(raw)


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(NotReadable):
        unpack(zipped(lambda file: file.writestr(zipfile.ZipInfo("a" * 121), b"x")))


TRICKS: dict[str, Callable[[zipfile.ZipFile], None]] = {
    "compressed": lambda file: file.writestr("a.txt", b"x" * 1000, zipfile.ZIP_DEFLATED),
    "bomb": lambda file: file.writestr("a.txt", bytes(50_000_000), zipfile.ZIP_DEFLATED),
    "extra": lambda file: file.writestr(_with_extra(), b"x"),
    "named in UTF-8": lambda file: file.writestr("chứng-từ.xml", b"x"),
}


def _with_extra() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("a.txt")
    entry.extra = b"\xff\xff\x02\x00ab"
    return entry


@pytest.mark.parametrize("trick", TRICKS)
def test_entries_of_another_form_are_refused(trick: str) -> None:
    with pytest.raises(NotReadable):
        unpack(zipped(TRICKS[trick]))


def test_a_comment_is_told_of() -> None:
    def comment(file: zipfile.ZipFile) -> None:
        file.writestr(zipfile.ZipInfo("a.txt"), b"x")
        file.comment = b"hello"

    assert unpack(zipped(comment))[1]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused() -> None:
    def twice(file: zipfile.ZipFile) -> None:
        for content in (b"good", b"bad"):
            file.writestr(zipfile.ZipInfo("a.txt"), content)

    with pytest.raises(NotReadable) as refused:
        unpack(zipped(twice))

    assert refused.value.problems[0].text == "container.name-twice"


def test_an_encrypted_entry_is_refused() -> None:
    data = bytearray(pack({"a.txt": b"x"}))
    data[data.index(b"a.txt") - 24] |= 1  # the flags of its local header

    with pytest.raises(NotReadable) as refused:
        unpack(bytes(data))

    assert refused.value.problems[0].text == "container.entry-form"


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"hello", pack({})[38:], b"PK\3\4" + b"\xff" * 26])
def test_what_is_no_container_is_refused(data: bytes) -> None:
    with pytest.raises(NotReadable):
        unpack(data)


def test_another_mimetype_is_refused() -> None:
    with pytest.raises(NotReadable):
        unpack(zipped(lambda _: None, first="application/zip"))


def test_size_and_number_of_files_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack({f"f{n}": b"" for n in range(10)})
    monkeypatch.setattr(packing, "MAX_FILES", 5)
    with pytest.raises(NotReadable) as many:
        unpack(data)
    monkeypatch.setattr(packing, "MAX_BYTES", 100)
    with pytest.raises(NotReadable) as large:
        unpack(data)

    assert [many.value.problems[0].text, large.value.problems[0].text] == ["container.too-many", "container.too-large"]


def test_what_is_streamed_is_held_in_chunks_only(tmp_path: Path) -> None:
    pieces = 64
    chunk = bytes(packing.CHUNK)
    digest = hashlib.sha256(chunk * pieces).digest()
    large = packing.Streamed(size=pieces * len(chunk), sha256=digest, chunks=lambda: (chunk for _ in range(pieces)))

    tracemalloc.start()
    try:
        with (tmp_path / "large.asice").open("x+b") as file:
            packing.pack({"large.bin": large, "small.txt": b"x"}, file)
            files, differences = packing.unpack(file)
            peak = tracemalloc.get_traced_memory()[1]
            with pytest.raises(NotReadable) as refused:
                files["large.bin"]
    finally:
        tracemalloc.stop()

    assert (files.digest("large.bin"), files.size("large.bin"), differences) == (digest, large.size, ())
    assert refused.value.problems[0].text == "container.file-large"
    assert peak < 8 * packing.CHUNK


def test_a_streamed_file_is_packed_as_one_that_is_held() -> None:
    content = b"ab" * 1000
    streamed = packing.Streamed(size=2000, sha256=hashlib.sha256(content).digest(), chunks=lambda: (b"ab" * 500, b"", b"ab" * 500))

    assert pack({"a.bin": streamed, "b": b"x"}) == pack({"a.bin": content, "b": b"x"})


def test_a_streamed_file_of_another_size_is_not_packed() -> None:
    with pytest.raises(ValueError, match="size"):
        pack({"a.bin": packing.Streamed(size=3, sha256=bytes(32), chunks=lambda: [b"ab"])})


def test_what_would_be_too_large_or_too_many_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = packing.Streamed(size=packing.MAX_BYTES, sha256=bytes(32), chunks=lambda: pytest.fail("read"))
    with pytest.raises(NotValid) as large:
        pack({"a.bin": huge})
    monkeypatch.setattr(packing, "MAX_FILES", 1)
    with pytest.raises(NotValid) as many:
        pack(FILES)

    assert [large.value.problems[0].text, many.value.problems[0].text] == ["container.too-large", "container.too-many"]


def test_a_size_that_is_not_there_costs_nothing() -> None:
    data = bytearray(pack({"a.txt": b"x"}))
    at = data.index(b"a.txt") - 12  # both sizes in its local header
    data[at : at + 8] = (2**32 - 1).to_bytes(4, "little") * 2

    with pytest.raises(NotReadable) as refused:
        unpack(bytes(data))

    assert refused.value.problems[0].text == "container.cut-short"


def test_every_entry_that_differs_is_named() -> None:
    data = bytearray(pack(FILES))
    for name in (b"a.txt", b"META-INF/b.xml"):
        data[data.index(name) - 20] ^= 1  # its date

    assert [problem.path for problem in unpack(bytes(data))[1]] == ["a.txt", "META-INF/b.xml"]
