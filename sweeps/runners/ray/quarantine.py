"""Which nodes of a cluster runs are kept away from, because they fail there and not elsewhere. Pure.

A mistake in a recipe or a task fails everywhere. A broken card or a full disk fails on one node, at once, and such a
node is always free for the next run: left alone, it would take every run of a sweep before the others have ended one.
So a node on which runs failed in the same way several times in a row is suspected, and gets no run until the others
have shown whose fault it is: if they get on, the node is left out for good; if the same failure comes from another
one, it is nobody's fault but the task's, and the node is in use again.
"""

from __future__ import annotations

import re
from collections.abc import Collection
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
        reasons: Node -> why runs are kept away from it for good.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    _streaks: dict[str, _Streak] = field(default_factory=dict)
    _everywhere: set[str] = field(default_factory=set)  # failures that more than one node has seen

    def left_out(self, nodes: Collection[str]) -> set[str]:
        """Those of these nodes that are not to be given a run now."""
        suspected = {node for node, streak in self._streaks.items() if self._suspicious(streak)}
        out = (set(self.reasons) | suspected) & set(nodes)
        return out if set(nodes) - out else set(self.reasons) & set(nodes)

    def got_on(self, node: str) -> list[str]:
        """A run recorded an epoch on this node; the nodes that are left out from now on."""
        self._streaks.pop(node, None)
        for streak in self._streaks.values():
            streak.others_got_on = True
        return [other for other in list(self._streaks) if self._judge(other)]

    def failed(self, node: str, error: str) -> bool:
        """A run failed on this node; whether the node is left out from now on."""
        failure = kind_of(error)
        if any(other != node and streak.failure == failure for other, streak in self._streaks.items()):
            self._everywhere.add(failure)
        streak = self._streaks.get(node)
        if streak is None or streak.failure != failure:
            streak = self._streaks[node] = _Streak(failure)
        streak.count += 1
        return self._judge(node)

    def leave_out(self, node: str, reason: str) -> bool:
        """Keep runs away from this node for good; False where they were before."""
        if node in self.reasons:
            return False
        self.reasons[node] = reason
        return True

    def _suspicious(self, streak: _Streak) -> bool:
        return streak.count >= IN_A_ROW and streak.failure not in self._everywhere

    def _judge(self, node: str) -> bool:
        streak = self._streaks[node]
        if not self._suspicious(streak) or not streak.others_got_on:
            return False
        return self.leave_out(node, f"{streak.count} runs in a row failed there, and not elsewhere: {streak.failure}")


def kind_of(error: str) -> str:
    """The way in which a run failed: the last line of its traceback, without what differs from run to run."""
    lines = [line for line in error.strip().splitlines() if line.strip()] or [""]
    said = lines[0] if lines[0].startswith("out of memory") else lines[-1]
    return re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "N", said.strip())[:200]
