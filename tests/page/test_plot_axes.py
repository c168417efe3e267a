"""Axes of plots: numbers that can be told apart, however small, large or close they are; by node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).with_name("axes.mjs")
LARGEST = 1.7976931348623157e308
IDENTIFIER = 170_032_878_510_211_103

# Values, numbers on their axis, whether it is logarithmic, and what it says of them.
AXES: tuple[tuple[list[float], list[float | None], bool, list[str]], ...] = (
    ([0, 5e4], [0, 25e3, 5e4], False, ["0", "25,000", "50,000"]),
    ([61000.1, 61000.2], [61000.11, 61000.1125], False, ["61,000.11", "61,000.1125"]),
    ([6e4, 6e4 + 3e-7], [60000.1230001, 60000.1230002], False, ["60,000.1230001", "60,000.1230002"]),
    ([-1.2e-8, 2e-9], [-1e-8, -2.5e-9, 1e-25], False, ["-1e-8", "-2.5e-9", "0"]),
    ([1e-29, 3e-29], [1e-29, 2e-29], False, ["1e-29", "2e-29"]),
    ([-(2**63), 2**63], [-6e18, 0, 2.5e18], False, ["-6e18", "0", "2.5e18"]),
    ([-0.2, 0.1], [-0.1, -1.3e-17, 0.1], False, ["-0.1", "0", "0.1"]),
    ([1e-29, 1e-20], [1e-25, None, 0.01, 100, 1e7], True, ["1e-25", "", "0.01", "100", "1e7"]),
    ([IDENTIFIER] * 3, [], False, []),
    ([IDENTIFIER, IDENTIFIER + 12], [], False, []),
    ([-LARGEST, 5e-324], [], False, []),
    ([5.0], [5.0], False, ["5"]),
    ([], [], False, []),
)  # fmt: skip


def test_an_axis_has_numbers_that_can_be_told_apart_and_every_value_a_bin() -> None:
    given = [{"values": values, "ticks": ticks, "isLog": is_log} for values, ticks, is_log, _ in AXES]
    run = subprocess.run(
        ["node", SCRIPT], input=json.dumps(given), capture_output=True, check=True, text=True
    )
    for (values, _, is_log, texts), found in zip(AXES, json.loads(run.stdout), strict=True):
        assert found["texts"] == texts
        low, high = found["ends"]
        assert all(low < value < high for value in values if abs(value) < LARGEST)
        assert sum(found["counts"]) == len(values)
        # uPlot draws no axis that is shorter, and none whose numbers have too many digits.
        low, high = found["shown"]
        assert high - low > 1e-7
        assert is_log or high - low > 1e-13 * max(abs(low), abs(high))
