"""Which nodes of a cluster are excluded because runs fail there and not elsewhere. Pure functions of what was reported.

An error in a recipe or a task fails on every node. A broken GPU or a full disk fails on one node, at once; that node is
then always free, and would take every run of a sweep before the other nodes finish one. So a node on which runs failed
in the same way several times in a row is suspected, and gets no run until the other nodes have shown the cause: if
runs make progress there, the node is excluded for good; if the same failure occurs on another node, the task is the
cause, and the node is used again.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

IN_A_ROW = 3


@dataclass
class _Streak:
    failure: str
    count: int = 0
    others_succeeded: bool = False


@dataclass
class Quarantine:
    """The failures on every node since its last success.

    Attributes:
        reasons: Reason of each excluded node.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    _streaks: dict[str, _Streak] = field(default_factory=dict)
    _everywhere: set[str] = field(default_factory=set)  # failures seen on more than one node

    def left_out(self, nodes: Collection[str]) -> set[str]:
        """Return which of these nodes get no run now."""
        suspected = {node for node, streak in self._streaks.items() if self._suspicious(streak)}
        out = (set(self.reasons) | suspected) & set(nodes)
        return out if set(nodes) - out else set(self.reasons) & set(nodes)

    def succeeded(self, node: str) -> list[str]:
        """Enter that a run recorded an epoch on this node, and return the nodes that this excludes."""
        self._streaks.pop(node, None)
        for streak in self._streaks.values():
            streak.others_succeeded = True
        return [other for other in list(self._streaks) if self._judge(other)]

    def failed(self, node: str, error: str) -> bool:
        """Enter that a run failed on this node, and return whether this excludes the node."""
        failure = kind_of(error)
        if any(other != node and streak.failure == failure for other, streak in self._streaks.items()):
            self._everywhere.add(failure)
        streak = self._streaks.get(node)
        if streak is None or streak.failure != failure:
            streak = self._streaks[node] = _Streak(failure)
        streak.count += 1
        return self._judge(node)

    def leave_out(self, node: str, reason: str) -> bool:
        """Exclude a node for good, and return False if it already was."""
        if node in self.reasons:
            return False
        self.reasons[node] = reason
        return True

    def _suspicious(self, streak: _Streak) -> bool:
        return streak.count >= IN_A_ROW and streak.failure not in self._everywhere

    def _judge(self, node: str) -> bool:
        streak = self._streaks[node]
        if not self._suspicious(streak) or not streak.others_succeeded:
            return False
        return self.leave_out(node, f"{streak.count} runs in a row failed there, and not elsewhere: {streak.failure}")


def kind_of(error: str) -> str:
    """Return the kind of a failure: the last line of its traceback, without numbers and addresses."""
    lines = [line for line in error.strip().splitlines() if line.strip()] or [""]
    said = lines[0] if lines[0].startswith("out of memory") else lines[-1]
    return re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "N", said.strip())[:200]
