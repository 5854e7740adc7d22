"""What an attachment costs on its way in."""

import os
import tracemalloc
from pathlib import Path

from gateway.outbox.attachments.keeping import CHUNK, Attachments
from gateway.outbox.attachments.rows import RowStore
from gateway.ports import Database
from gateway.security.cipher import FileCipher


def test_upload_that_is_finished_holds_none_of_its_bytes(database: Database, tmp_path: Path) -> None:
    keeping = Attachments(database, FileCipher(tmp_path / "keys", entropy=os.urandom), stores=[RowStore(database)], entropy=os.urandom)
    uploads = [keeping.upload(name="invoice.pdf", media_type="application/pdf") for _ in range(5)]

    tracemalloc.start()
    for number, upload in enumerate(uploads):
        upload.write(bytes([number % 4]) * CHUNK)  # the last is known already
        upload.finish()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < CHUNK
