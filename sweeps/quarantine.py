"""Which nodes of a cluster runs are kept away from, because they fail there and not elsewhere. Pure.

A mistake in a recipe or a task fails everywhere; a broken card or a full disk fails on one node, at once, and such a
node is always free for the next run. So a node is left out when runs failed on it in the same way several times in a
row, while another node got on since the first of these failures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

IN_A_ROW = 3


@dataclass
class _Streak:
    failure: str
    count: int = 0
    others_got_on: bool = False


@dataclass
class Quarantine:
    """What was seen of every node since its last success.

    Attributes:
        reasons: Node -> why runs are kept away from it.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    _streaks: dict[str, _Streak] = field(default_factory=dict)

    def got_on(self, node: str) -> None:
        """A run recorded an epoch on this node."""
        self._streaks.pop(node, None)
        for streak in self._streaks.values():
            streak.others_got_on = True

    def failed(self, node: str, error: str) -> bool:
        """A run failed on this node; whether it is left out from now on."""
        failure = kind_of(error)
        streak = self._streaks.get(node)
        if streak is None or streak.failure != failure:
            streak = self._streaks[node] = _Streak(failure)
        streak.count += 1
        if node in self.reasons or streak.count < IN_A_ROW or not streak.others_got_on:
            return False
        return self.leave_out(node, f"{streak.count} runs in a row failed there, and not elsewhere: {failure}")

    def leave_out(self, node: str, reason: str) -> bool:
        """Keep runs away from this node; False where they were before."""
        if node in self.reasons:
            return False
        self.reasons[node] = reason
        return True


def kind_of(error: str) -> str:
    """The way in which a run failed: the last line of its traceback, without what differs from run to run."""
    lines = [line for line in error.strip().splitlines() if line.strip()] or [""]
    said = lines[0] if lines[0].startswith("out of memory") else lines[-1]
    return re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "N", said.strip())[:200]
