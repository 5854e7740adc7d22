from pathlib import Path

import pytest

from gateway.errors import Unavailable
from gateway.store.sole import Sole


def test_second_process_is_kept_away_until_the_first_ends(tmp_path: Path) -> None:
    first = Sole(tmp_path / "g.db.lock")

    with pytest.raises(Unavailable):
        Sole(tmp_path / "g.db.lock")

    first.release()
    Sole(tmp_path / "g.db.lock").release()
