"""Who listens on a port, as far as the system tells."""

import os
import socket
from pathlib import Path

import pytest

from gateway.cli.listeners import listener


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells who listens")
def test_own_process_is_found_by_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = listener(server.getsockname()[1])

    assert found is not None
    assert found.pid == os.getpid()
    assert "python" in found.command


def test_free_port_has_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert listener(port) is None


def test_system_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    assert listener(80, proc=tmp_path) is None


def test_socket_of_somebody_elses_process_is_nobody(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "42").mkdir()
    line = "0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 1 x\n"
    (tmp_path / "net" / "tcp").write_text("header\n" + line)

    assert listener(80, proc=tmp_path) is None
