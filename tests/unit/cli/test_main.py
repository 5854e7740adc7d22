"""The command line as a whole: languages, settings, streams, and how it ends as a process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, bytes | str], Path]
Run = Callable[..., Any]
COMMANDS = ("serve", "work", "demo", "validate", "verify", "sign", "routes", "messages", "schemas", "certs", "doctor", "bench")


def nsw(home: Path, *arguments: object, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    settings = {"NSW_HOME": str(home), "PATH": os.defpath, "LANG": "C.UTF-8", **environment}
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *map(str, arguments)], env=settings, capture_output=True, check=False, timeout=60
    )


def test_version_is_said(run: Run) -> None:
    ran = run("--version")

    assert (ran.code, ran.out) == (0, f"nsw {version('nsw-gateway')}\n")


def test_help_names_every_command(run: Run) -> None:
    ran = run("--help")

    assert ran.code == 0
    assert all(command in ran.out for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments", [("--nonsense",), ("nonsense",), ("--lang", "fr", "doctor"), ("routes", "nonsense"), ("messages", "show")]
)
def test_unknown_words_are_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).code == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("deliveries", "cancel", "x"), "Thiếu --reason."),
        (("validate",), "Thiếu FILE."),
        (("nonsense",), "Không có lệnh “nonsense”."),
        (("routes", "nonsense"), "Không có lệnh “nonsense”."),
        (("validate", "--nonsense"), "Không có tùy chọn --nonsense."),
        (("validate", "a.xml", "b.xml"), "Thừa đối số: b.xml."),
        (("validate", "a.xml", "--schema"), "Tùy chọn --schema thiếu giá trị"),
        (("messages", "list", "--limit", "nhiều"), "Giá trị phải là số nguyên."),
        (("messages", "list", "--limit", "0"), "Giá trị phải từ 1 trở lên."),
        (("sign", "a.xml", "--key", "k", "--as", "vua"), "Giá trị phải là một trong: person, system."),
        (("--lang", "fr", "doctor"), "Giá trị phải là một trong: vi, en."),
    ],
)
def test_wrong_usage_is_told_in_the_language(run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str) -> None:
    monkeypatch.setenv("NSW_LANGUAGE", "vi")

    ran = run(*arguments)

    assert (ran.code, ran.out) == (2, "")
    assert f"✗ {told}" in ran.err
    assert "--help" in ran.err
    assert "Usage" not in ran.err


def test_file_without_the_right_to_read_is_told_in_the_language(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # root may read anything

    ran = run("--lang", "vi", "validate", write("closed.xml", "<a/>"))

    assert (ran.code, ran.out) == (2, "")
    assert "Không đọc được: tài khoản đang dùng không có quyền." in ran.err


def test_group_without_a_command_shows_its_help(run: Run) -> None:
    ran = run("routes")

    assert ran.code == 2
    assert "explain" in ran.out + ran.err


def test_version_imports_no_command(home: Path) -> None:
    look = "import sys; sys.argv = ['nsw', '--version']\nfrom gateway.cli.main import app\n"
    look += "try: app()\nfinally: print('gateway.bootstrap' in sys.modules, 'gateway.web.app' in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", look], env={"NSW_HOME": str(home)}, capture_output=True, check=False, timeout=60)

    assert ran.stdout.split()[-2:] == [b"False", b"False"]


def test_language_without_texts_is_wrong_usage(run: Run, write: Write, pretty: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_LANGUAGE", "fr")

    ran = run("validate", write("good.xml", pretty))

    assert ran.code == 2
    assert "NSW_LANGUAGE" in ran.err


def test_every_wrong_setting_is_named_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_PORT", "many")
    monkeypatch.setenv("NSW_THREADS", "0")

    ran = run("doctor")

    assert ran.code == 2
    assert "NSW_PORT" in ran.err
    assert "NSW_THREADS" in ran.err


def test_terminal_gets_long_text_wrapped_under_its_beginning(
    run: Run, write: Write, pretty: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")

    lines = run("validate", write("good.xml", pretty)).out.splitlines()

    assert len(lines) > 3
    assert all(line.startswith(("✓", "  ")) and len(line) <= 60 for line in lines)


# --- as a process ------------------------------------------------------------------------------------------------------


@pytest.mark.slow  # as many processes as there are verdicts
def test_process_ends_with_the_verdict_and_speaks_json_on_standard_output_only(home: Path, write: Write, pretty: bytes) -> None:
    good, bad = write("good.xml", pretty), write("bad.xml", pretty.replace(b">960<", b">x<"))

    valid, invalid = nsw(home, "validate", good, "--json"), nsw(home, "validate", bad, "--json")

    assert (valid.returncode, invalid.returncode) == (0, 1)
    assert json.loads(valid.stdout)["valid"] is True
    assert json.loads(invalid.stdout)["errors"][0]["code"] == "ERR02_CODE"
    assert valid.stderr == invalid.stderr == b""


def test_vietnamese_json_is_utf8_whatever_the_terminal_speaks(home: Path, write: Write) -> None:
    ran = nsw(home, "validate", write("bad.xml", "<no"), "--json", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")

    assert "Thẻ" in json.loads(ran.stdout)["errors"][0]["message_vi"]


def test_terminal_without_vietnamese_gets_no_traceback(home: Path, write: Write) -> None:
    ran = nsw(home, "validate", write("bad.xml", "<no"), PYTHONIOENCODING="ascii", PYTHONUTF8="0")

    assert ran.returncode == 1
    assert b"Traceback" not in ran.stderr


def test_reader_that_goes_away_gets_no_traceback(home: Path) -> None:
    command = f"{sys.executable} -m gateway.cli schemas list | head -1"
    settings = {"NSW_HOME": str(home), "PATH": os.defpath, "LANG": "C.UTF-8"}

    ran = subprocess.run(["/bin/sh", "-c", command], env=settings, capture_output=True, check=False, timeout=60)

    assert b"Traceback" not in ran.stderr


def test_signed_bytes_alone_are_on_standard_output(home: Path, write: Write, pretty: bytes) -> None:
    keys = ("--key", home / "pki/keys/NSW.key.pem", "--cert", home / "pki/parties/NSW.pem")

    ran = nsw(home, "sign", write("good.xml", pretty), *keys)

    assert ran.stdout.startswith(b"<Envelope>")
    assert ran.stdout.endswith(b"</Envelope>")
    assert ran.stderr


def test_output_on_a_full_disk_is_told_of_and_is_no_refusal(home: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "--version"],
            env={"NSW_HOME": str(home), "PATH": os.defpath}, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60,
        )  # fmt: skip

    assert ran.returncode == 3
    assert ran.stderr.decode().startswith("✗ Không làm tiếp được: hết dung lượng đĩa.\n  → ")


def test_closed_streams_are_empty_ones(home: Path) -> None:
    command = f"{sys.executable} -m gateway.cli --version <&- >&- 2>&-"

    ran = subprocess.run(["/bin/sh", "-c", command], env={"NSW_HOME": str(home), "PATH": os.defpath}, check=False, timeout=60)

    assert ran.returncode == 0


@pytest.mark.parametrize("setting", ["x" * 300, "loop/home"])
def test_home_that_cannot_be_is_told_of(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    (home / "loop").symlink_to("loop")
    monkeypatch.setenv("NSW_HOME", str(home / setting))

    ran = run("db", "upgrade")

    assert ran.code in {2, 3}
    assert ran.err.startswith("✗ ")
    assert "Traceback" not in ran.err


def test_file_in_the_place_of_the_home_is_told_of(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_HOME", str(write("home.txt", "")))

    ran = run("db", "upgrade")

    assert ran.code == 3
    assert ran.err.startswith("✗ It cannot go on: a part of the path is a file, not a folder.")
