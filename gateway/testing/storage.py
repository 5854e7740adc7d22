"""A real S3-compatible server for tests, as a process of its own on 127.0.0.1."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

from gateway.model import Request
from gateway.transport.http import HttpTransport, Signing

from .process import NotReadyError, Process

BUCKET = "nsw"
PATIENCE = timedelta(seconds=10)
KEYS = Signing(region="ap-southeast-1", access_key="AKIATESTINGONLY", secret_key="testing/only+1")  # noqa: S106  # opens nothing but this server
SERVER = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("ready http://%s:%d" % server.get_host_and_port(), flush=True)
server._thread.join()
"""


@contextmanager
def serving_s3(folder: Path) -> Iterator[str]:
    """Run a server with one bucket and give its address; raises NotReadyError."""
    process = Process(("-W", "ignore", "-c", SERVER), log=folder / "s3.log", environment={"AWS_DEFAULT_REGION": KEYS.region})
    address = process.start()
    try:
        with HttpTransport(signing=KEYS) as transport:
            place = f"<CreateBucketConfiguration><LocationConstraint>{KEYS.region}</LocationConstraint></CreateBucketConfiguration>"
            made = transport.send(Request(endpoint=f"{address}/{BUCKET}", action="", method="PUT", body=place.encode()), timeout=PATIENCE)
            if made.status != HTTPStatus.OK:
                raise NotReadyError(f"no bucket: {made}")
        yield address
    finally:
        process.stop()
