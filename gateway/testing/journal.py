"""The journal of a simulated agency: what arrived, what took effect, what it sent; kept on disk, so that a restart remembers."""

import base64
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

FILE = "journal.jsonl"
Line = dict[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimRequest:
    """One HTTP request that reached a simulated agency; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SimReply:
    """One HTTP answer of a simulated agency; `effect` is False where the message was refused and may be sent again."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/xml; charset=utf-8"})
    effect: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How an agency recognises a message: its `id`, and `about`, what stays the same when its content comes under a second id."""

    id: str = ""
    about: str = ""


class Journal:
    """Everything that reached an agency, one JSON line each, read back at the next start.

    Lines are flushed, not synced: they survive the simulator's death, not the machine's. A torn last line is passed over.
    Callers serialise their own check-then-write; single calls are safe from any thread.
    """

    def __init__(self, folder: Path | None) -> None:
        """Open the folder's journal, or keep nothing on disk where `folder` is None."""
        self._lock = threading.Lock()
        self._arrivals: list[Line] = []
        self._answers: dict[str, SimReply] = {}
        self._requests: dict[str, SimRequest] = {}
        self._abouts: dict[str, list[str]] = {}
        self._finished: set[str] = set()
        self._sent: list[Line] = []
        self._failures: list[Line] = []
        self._file: BinaryIO | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._replay(folder / FILE)
            self._file = (folder / FILE).open("ab")

    def arrived(self, request: SimRequest, mark: Mark, *, at: datetime, mode: str) -> None:
        """Note one raw arrival, repeats and refused ones too."""
        digest = hashlib.sha256(request.body).hexdigest()
        self._write({"kind": "arrival", "at": at.isoformat(), "id": mark.id, "about": mark.about, "mode": mode, "sha256": digest})

    def took_effect(self, request: SimRequest, mark: Mark, reply: SimReply) -> None:
        """Keep a new message with its answer, which every repeat of it gets again."""
        self._write({
            "kind": "effect", "id": mark.id, "about": mark.about,
            "method": request.method, "path": request.path, "request_headers": json.dumps(dict(request.headers)),
            "request": base64.b64encode(request.body).decode(),
            "status": reply.status, "reply_headers": json.dumps(dict(reply.headers)), "reply": base64.b64encode(reply.body).decode(),
        })  # fmt: skip

    def sent(self, mark: Mark, *, at: datetime, status: int, answer: bytes) -> None:
        """Note a message that the agency sent by itself, and what it was answered; status 0 where nobody answered."""
        text = answer.decode("utf-8", "replace")
        self._write({"kind": "sent", "at": at.isoformat(), "id": mark.id, "about": mark.about, "status": status, "answer": text})

    def finished(self, message_id: str) -> None:
        """Note that everything which follows from a message has been done."""
        self._write({"kind": "finished", "id": message_id})

    def failed(self, message_id: str, *, at: datetime, error: str) -> None:
        """Note a follow-up that stopped with a bug; it is owed again at the next start."""
        self._write({"kind": "failed", "at": at.isoformat(), "id": message_id, "error": error})

    def answer(self, message_id: str) -> SimReply | None:
        """Give the first answer to a message that took effect."""
        return self._answers.get(message_id)

    def request(self, message_id: str) -> SimRequest | None:
        """Give the request of a message that took effect, as it arrived."""
        return self._requests.get(message_id)

    def effects(self) -> list[str]:
        """Give the ids of the messages that took effect, in the order in which they came."""
        with self._lock:
            return list(self._answers)

    def arrivals(self) -> list[Mapping[str, str | int]]:
        """Give the raw arrivals, in the order in which they came."""
        with self._lock:
            return list(self._arrivals)

    def unfinished(self) -> Iterator[SimRequest]:
        """Give the messages whose follow-up is still owed, in the order in which they came."""
        with self._lock:
            owed = [request for message_id, request in self._requests.items() if message_id not in self._finished]
        return iter(owed)

    def report(self) -> dict[str, object]:
        """Say what arrived, what took effect, which ids came again, and which content came again under a second id."""
        with self._lock:
            counts = Counter(str(line["id"]) for line in self._arrivals if line["id"])
            return {
                "arrivals": list(self._arrivals),
                "effects": list(self._answers),
                "repeats": {message_id: n - 1 for message_id, n in counts.items() if n > 1},
                "second_ids": [message_id for ids in self._abouts.values() for message_id in ids[1:]],
                "sent": list(self._sent),
                "failures": list(self._failures),
            }

    def close(self) -> None:
        """Close the file; later lines are kept in memory only."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write(self, line: Line) -> None:
        with self._lock:
            if self._file is not None:
                self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                self._file.flush()
            self._learn(line)

    def _replay(self, path: Path) -> None:
        """Read an earlier run's lines; a torn last one is cut off, so that the next line starts on its own."""
        if not path.exists():
            return
        whole, _, torn = path.read_bytes().rpartition(b"\n")
        for line in whole.splitlines():
            self._learn(json.loads(line))
        if torn:
            path.write_bytes(whole + b"\n" if whole else b"")

    def _learn(self, line: Line) -> None:
        match line["kind"]:
            case "arrival":
                self._arrivals.append(line)
            case "effect":
                self._learn_effect(line)
            case "sent":
                self._sent.append(line)
            case "failed":
                self._failures.append(line)
            case "finished":
                self._finished.add(str(line["id"]))

    def _learn_effect(self, line: Line) -> None:
        message_id = str(line["id"])
        self._requests[message_id] = SimRequest(
            method=str(line["method"]),
            path=str(line["path"]),
            headers=json.loads(str(line["request_headers"])),
            body=base64.b64decode(str(line["request"])),
        )
        self._answers[message_id] = SimReply(
            status=int(line["status"]), headers=json.loads(str(line["reply_headers"])), body=base64.b64decode(str(line["reply"]))
        )
        if line["about"]:
            self._abouts.setdefault(str(line["about"]), []).append(message_id)
