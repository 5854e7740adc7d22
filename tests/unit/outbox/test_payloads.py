import os
from pathlib import Path

import pytest

from gateway.errors import Unavailable
from gateway.outbox.payloads import Payloads
from gateway.security.cipher import FileCipher


@pytest.fixture
def payloads(tmp_path: Path) -> Payloads:
    return Payloads(cipher=FileCipher(tmp_path / "keys", entropy=os.urandom))


@pytest.mark.parametrize("content", [b"", b"<Envelope/>", bytes(range(256)), "Kiểm dịch".encode() * 100_000])
def test_content_is_read_as_it_was_locked_and_not_before(payloads: Payloads, content: bytes) -> None:
    locked = payloads.lock("m-1", "body", content)

    assert payloads.unlock("m-1", "body", locked) == content
    assert not content or content not in locked


@pytest.mark.parametrize(("owner", "part"), [("m-2", "body"), ("m-1", "document"), ("m-1/body", "")])
def test_content_cannot_be_read_as_another_part_or_another_message(payloads: Payloads, owner: str, part: str) -> None:
    locked = payloads.lock("m-1", "body", b"content")

    with pytest.raises(Unavailable):
        payloads.unlock(owner, part, locked)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b"<Password>s3cret</Password>", b"<Password>***</Password>"),
        (b"<wsse:Password Type='x'>s3cret</wsse:Password>", b"<wsse:Password Type='x'>***</wsse:Password>"),
        (b"<user><password>a&amp;b</password></user>", b"<user><password>***</password></user>"),
        (b"<Password>one</Password><Password>two</Password>", b"<Password>***</Password><Password>***</Password>"),
        (b"<Password></Password><Password/>", b"<Password></Password><Password/>"),
        (b"<PasswordHint>colour</PasswordHint>", b"<PasswordHint>colour</PasswordHint>"),
        (b"the assword <Password", b"the assword <Password"),
        (b"<Password><![CDATA[s3cret]]></Password>", b"<Password>***</Password>"),
        (b"<p>&lt;Password&gt;s3cret&lt;/Password&gt;</p>", b"<p>&lt;Password&gt;***&lt;/Password&gt;</p>"),
        (b"<p>&lt;Password&gt;a&amp;amp;b&lt;/Password&gt;</p>", b"<p>&lt;Password&gt;***&lt;/Password&gt;</p>"),
        (b"<p>&lt;x:Password a=&quot;1&quot;>s3cret&lt;/x:Password></p>", b"<p>&lt;x:Password a=&quot;1&quot;>***&lt;/x:Password></p>"),
        (b"<p>&amp;lt;Password&amp;gt;s3cret&amp;lt;/Password&amp;gt;</p>", b"<p>&amp;lt;Password&amp;gt;***&amp;lt;/Password&amp;gt;</p>"),
        (b"<p>&lt;PasswordHint&gt;colour&lt;/PasswordHint&gt;</p>", b"<p>&lt;PasswordHint&gt;colour&lt;/PasswordHint&gt;</p>"),
    ],
)
def test_credentials_are_masked_and_nothing_else(payloads: Payloads, written: bytes, kept: bytes) -> None:
    assert payloads.unlock("m", "body", payloads.lock("m", "body", written)) == kept


@pytest.mark.parametrize(
    "tag", [b"<Password ", b"<Password>", b"&lt;Password&gt;", b"&amp;lt;Password&amp;gt;", b"<Password><!", b"<Password>&"]
)
def test_masking_hostile_content_takes_no_longer_than_reading_it(payloads: Payloads, tag: bytes) -> None:
    hostile = tag * 100_000 + b"<Password>" + b"x" * 1_000_000

    assert payloads.unlock("m", "body", payloads.lock("m", "body", hostile)) == hostile
