from datetime import timedelta

from gateway.outbox.outbox import LEASE
from gateway.routing.forms import MAX_TIMEOUT
from gateway.store.sqlite import BUSY_SECONDS
from gateway.transport.http import RETRY_SECONDS


def test_lease_outlives_the_longest_request_with_its_retries_and_its_two_writes() -> None:
    assert timedelta(seconds=RETRY_SECONDS + 2 * BUSY_SECONDS) + MAX_TIMEOUT < LEASE
