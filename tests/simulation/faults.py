"""Which faults a run meets, and how often: each is drawn anew, and is absent as often as not, so that runs differ in kind."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Chances: of a point, of a commit, of a request on the network, of a partner's day."""

    switch: float = 0.5  # somebody else plays first
    die: float = 0.0  # the process is killed
    stall: float = 0.0  # the process is stopped for a while
    jump: float = 0.0  # the clock on the wall jumps
    outage: float = 0.0  # the database is gone for a while
    refuse: float = 0.0  # a commit fails
    half: float = 0.0  # a commit succeeds and its answer is lost
    broken: float = 0.0  # a commit fails in the middle
    doubt: float = 0.0  # a check cannot be made, or the reply cannot be proved
    lost: float = 0.0  # a request is lost on its way
    mute: float = 0.0  # a reply is lost on its way
    doubled: float = 0.0  # a request arrives twice
    late: float = 0.0  # a request or a reply arrives after everybody gave it up
    away: float = 0.0  # a partner has a bad time: down, hanging, slow, lying
    deadly: float = 0.0  # a message kills whoever writes it for a partner


CALM = Faults()
_CHANCES = {
    "die": (1 / 2000, 1 / 250),
    "stall": (1 / 3000, 1 / 400),
    "jump": (1 / 3000, 1 / 400),
    "outage": (1 / 3000, 1 / 600),
    "refuse": (0.01, 0.1),
    "half": (0.01, 0.1),
    "broken": (0.01, 0.1),
    "doubt": (0.01, 0.1),
    "lost": (0.02, 0.2),
    "mute": (0.02, 0.2),
    "doubled": (0.02, 0.2),
    "late": (0.02, 0.2),
    "away": (0.1, 0.5),
    "deadly": (0.005, 0.02),
}


def draw(rng: Random) -> Faults:
    """Draw the faults of one run: each absent, rare or frequent."""
    chosen = {name: rng.choice((0.0, 0.0, *chances)) for name, chances in _CHANCES.items()}
    return Faults(switch=rng.choice((0.1, 0.4, 0.8)), **chosen)
