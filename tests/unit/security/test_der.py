"""DER: each value in its one form, whole, with nothing left over."""

import pytest

from gateway.security import der


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 70_000])
def test_what_is_written_reads_back(size: int) -> None:
    written = der.write(der.OCTET_STRING, b"x" * size)

    assert der.read(written) == der.Value(tag=der.OCTET_STRING, content=b"x" * size, raw=written)


@pytest.mark.parametrize(("number", "content"), [(0, "00"), (127, "7f"), (128, "0080"), (-1, "ff"), (65537, "010001")])
def test_integers_are_written_shortest(number: int, content: str) -> None:
    assert der.write_integer(number).hex() == f"02{len(content) // 2:02x}{content}"


def test_identifiers_are_written_as_the_standard_shows() -> None:
    assert der.write_oid("1.2.840.113549.1.7.2").hex() == "06092a864886f70d010702"


@pytest.mark.parametrize("data", ["", "30", "3080", "300000", "308100", "30820001ff", "300302010100", "1f0100", "3085", "30840000"])
def test_whatever_is_not_in_its_one_form_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        der.read(bytes.fromhex(data))


def test_nothing_is_inside_a_plain_value() -> None:
    with pytest.raises(ValueError, match="holds"):
        der.read(der.write(der.OCTET_STRING, b"")).children()


def test_one_value_is_read_without_a_look_at_what_else_might_stand_there() -> None:
    with pytest.raises(ValueError, match="one value"):
        der.read(bytes(1_000_000))


@pytest.mark.parametrize("count", [1024, 1025])
def test_more_values_than_are_meant_are_refused(count: int) -> None:
    holder = der.read(der.write(der.SEQUENCE, b"\x05\x00" * count))

    if count > der.MAX_VALUES:
        with pytest.raises(ValueError, match="more"):
            holder.children()
    else:
        assert len(holder.children()) == count
