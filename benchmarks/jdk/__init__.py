"""The gateway and the JDK at the same work on the same signed envelope: parse, verify, validate, sign, serialise; timed in turns.

Each does it in its own usual way: the gateway by the functions that intake and delivery call, the JDK by its DOM, javax.xml.validation,
javax.xml.crypto and an identity transformer. The JDK's CPU is that of its process, once compiled: its collector frees in threads of its own
what the gateway frees on the way. What its working thread alone takes is shown in figures of its own.
"""

import gc
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from benchmarks.ground import SCHEMA_FILE, application, cpu, make_pki, target
from gateway.security import signer, verifier
from gateway.security.keys import SigningKey
from gateway.testing.applicant import party_key
from gateway.testing.signing import ZONE, private_key_of
from gateway.xml.canonical import canonical
from gateway.xml.envelope import forward, make_signed_view, read_header
from gateway.xml.parse import parse
from gateway.xml.schemas import Schemas
from gateway.xml.shipped import shipped

WARM = 5000  # calls, after which its compiler has nothing left to gain
TURN = 20
ROUNDS = 61
BOUND = 0.55
SCHEMA = "BNN&PTNT03000021001"
SLOTS = ("optional", "optional")
PROGRAM = Path(__file__).parent / "Gateway.java"
PASSWORD = b"benchmark"
Turn = Callable[[int], tuple[float, float]]  # calls -> seconds each: of the thread, of the process


def compare() -> tuple[dict[str, float], dict[str, object]]:
    """Give the figures and the target; where there is no JDK, no figure, and a target that says so and is not met."""
    compiler, machine = shutil.which("javac"), shutil.which("java")
    if compiler is None or machine is None:
        return {}, {"name": "ours / the JDK: not measured, no JDK is here", "value": None, "bound": BOUND, "at_least": False, "ok": False}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pki = make_pki(folder)
        signed, key = application(pki, 1, person=False), party_key(pki)
        subprocess.run([compiler, "-d", name, str(PROGRAM)], check=True, timeout=120)  # noqa: S603  # our own program
        (folder / "signed.xml").write_bytes(signed)
        (folder / "key.p12").write_bytes(_pkcs12(key))
        ours = _ours(signed, key)
        with _running(machine, folder) as jdk:
            if _content(ours()) != _content((folder / "result.xml").read_bytes()):
                raise ValueError("the JDK's result differs from ours")
            return _timed(ours, jdk)


def _timed(ours: Callable[[], object], jdk: Turn) -> tuple[dict[str, float], dict[str, object]]:
    jdk(WARM)
    rounds = []
    for _ in range(ROUNDS):
        gc.collect()  # neither pays for what was left behind
        ours()  # nor for the caches that the other filled
        mine = cpu(ours, TURN)
        jdk(1)
        rounds.append((mine, *jdk(TURN)))
    spent, thread, process = zip(*rounds, strict=True)
    figures = {
        "pass_rsa_ours_us": round(sum(spent) / ROUNDS * 1e6, 1),
        "pass_rsa_jdk_us": round(sum(process) / ROUNDS * 1e6, 1),  # counted in hundredths of a second, so not by turns
        "pass_rsa_jdk_without_collector_us": round(sum(thread) / ROUNDS * 1e6, 1),
        "pass_rsa_ours_by_jdk_without_collector": round(median(o / t for o, t, _ in rounds), 3),
    }
    return figures, target("pass rsa: ours / the JDK", sum(spent) / sum(process), BOUND, at_least=False)


def _ours(signed: bytes, key: SigningKey) -> Callable[[], bytes]:
    """Make what is timed: as intake proves and judges an envelope, and as delivery writes and seals it."""
    schemas, leaf, at = Schemas.load([shipped("xsd")]), key.certificates[0], datetime.now(UTC)
    receiver = read_header(parse(signed), zone=ZONE, written=signed).receiver

    def ours() -> bytes:
        root = parse(signed)
        verifier.verify_system(verifier.find(root, signed), at=at, registered=lambda found: found == leaf)
        make_signed_view(root, schemas.slots(SCHEMA))
        if problems := schemas.validate(SCHEMA, root, size=len(signed)):
            raise ValueError(problems)
        bare = forward(signed, receiver=receiver, document_type=None, version=None, slots=SLOTS, keep_person=True)
        return signer.sign_system(bare, key)

    return ours


def _content(document: bytes) -> bytes:
    """Give what a document says without its signature."""
    root = parse(document)
    make_signed_view(root, SLOTS)
    return canonical(root)


def _pkcs12(key: SigningKey) -> bytes:
    encryption = serialization.BestAvailableEncryption(PASSWORD)
    return pkcs12.serialize_key_and_certificates(b"key", private_key_of(key), key.certificates[0].x509, None, encryption)


@contextmanager
def _running(machine: str, folder: Path) -> Iterator[Turn]:
    """Start the JDK's program, which then takes turns."""
    files = [str(shipped("xsd") / SCHEMA_FILE), str(folder / "key.p12"), PASSWORD.decode(), str(folder / "signed.xml")]
    command = [machine, "-cp", str(folder), "Gateway", *files, str(folder / "result.xml")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own program
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        asked, told = process.stdin, process.stdout

        def turn(times: int) -> tuple[float, float]:
            asked.write(f"{times}\n")
            asked.flush()
            thread, whole = told.readline().split()
            return float(thread) / times / 1e9, float(whole) / times / 1e9

        turn(1)  # the result is written before it answers
        yield turn
        asked.close()
