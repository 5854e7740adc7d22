"""What has heads stamped, apart from sealing: an authority that is away or slow holds up nothing but itself."""

from datetime import timedelta

from gateway.errors import GatewayError
from gateway.ports import Watch

from .stamping import Stamps
from .timestamps import Authorities

LOOK_SECONDS = 5.0
FAREWELL_SECONDS = 1.0  # a question under way is given up when the process ends: it is asked again by whoever runs next


def stamp(stamps: Stamps, authorities: Authorities, *, every: timedelta, watch: Watch) -> None:
    """Have the newest head stamped where that is due; where no authority does it is told, and the next look asks again."""
    try:
        if stamps.renew(authorities, every=every):
            watch("ledger.stamped", {})
    except GatewayError as error:
        watch("ledger.not-stamped", {"code": error.code, "cause": " ".join(problem.text for problem in error.problems)})
