"""What happened, as a ledger leaf tells it: ids, codes, times and digests, never content or names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact: `kind` is documented and never renamed ("message.accepted", "delivery.settled"); `values` are ids, codes and digests."""

    kind: str
    at: datetime
    message: str = ""
    delivery: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
