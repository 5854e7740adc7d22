"""The whole journey on the living world; and, in the long run, its kill at twenty moments drawn once and for all."""

import random

import pytest

from gateway.testing.journey import KILL_WITHIN, Traveller, play, steps, survive

SEED = 336_2026
DRAW = random.Random(SEED)  # noqa: S311  # moments, not secrets
MOMENTS = tuple(round(DRAW.random() * KILL_WITHIN, 3) for _ in range(20))
FIRST = 5_000_000  # its dossiers are nobody else's


def test_the_journey_is_seen_from_outside_at_every_step(traveller: Traveller) -> None:
    played = list(play(traveller.world, first=FIRST, moment=0.4))

    assert [f"{step.name}: {step.detail}" for step in played if not step.ok] == []
    assert [step.name for step in played] == [step.name for step in steps(0)]


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(traveller: Traveller, moment: float) -> None:
    assert "lost 0, doubled 0" in survive(traveller, moment)


@pytest.mark.slow
def test_kills_one_after_another_lose_nothing_and_double_nothing(traveller: Traveller) -> None:
    for moment in (0.0, 0.1, 0.2, 0.3):
        assert "lost 0, doubled 0" in survive(traveller, moment)
