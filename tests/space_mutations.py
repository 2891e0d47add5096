"""Damaged copies of the shipped space files, and what reading them costs: run as a process, under limits of its own.

``python -m tests.space_mutations COUNT SEED all`` prints one line of JSON: what was read, refused and slowest, and
every file that was answered with anything else than a spec or a list of problems.
"""

from __future__ import annotations

import json
import random
import re
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

import analysis
from search_spaces import UsageError, dump_ablation, dump_space, parse_ablation, parse_space
from search_spaces.lint.lint import lint, lint_lines

LARGE = 2**20  # characters
MORE_MEMORY = 300 * 2**20  # bytes that reading may ask for beyond what the imports took
SECONDS = 1.0

ROOT = Path(__file__).resolve().parents[1]
SPACES = tuple(path.read_text() for path in sorted((ROOT / "search_spaces/library").glob("*.yaml")))
ABLATIONS = tuple(path.read_text() for path in sorted((Path(str(analysis.__file__)).parent / "ablations").glob("*")))

NASTY = (
    *("", "~", "null", "true", "no", "0", "-0", "-1", "1e-320", "1e308", "1e309", ".nan", "-.inf", "0x7f", "1_000"),
    *("9" * 19, "9" * 400, "1" * 99, "1e99999", "0." + "0" * 90 + "1", "a" * 500, "ä" * 200, "\U0001f600", "é\u202e"),
    *("&a", "*a", "&a [*a, *a]", "<<: *a", "!!python/object/apply:os.system ['true']", "!!binary aGk=", "!!set {a}"),
    *(
        "[",
        "]",
        "{",
        "}",
        "[" * 50,
        "{a: " * 40,
        "- " * 60,
        "? ",
        ": ",
        "|\n ",
        ">-\n ",
        "---\n",
        "...\n",
        "%YAML 9.9\n",
    ),
    *("'", '"', '"\\x00"', '"\\UFFFFFFFF"', '"\\ud800"', "\t", "\r", "\x00", "\x85", "\ufeff", "# ", "@", "`", "%"),
    *("{choice: []}", "{choice: [1, 1]}", "{uniform: [0, 1e308]}", "{loguniform: [0, 1]}", "{quniform: [0, 1, 1e-9]}"),
    *("{randint: [0, 9999999999]}", "{qloguniform: [1, 1e9, 1]}", "{normal: [0, -1]}", "{choice: [[1], {a: b}]}"),
    *("{kind: grid}", "{kind: gp}", "optimizer.lr", "optimizer.betas.9999", "search", "extends: ../../x", "custom"),
    *("extends: finetune", "runs: 999999999999", "constraints: ['optimizer.lr < 1']", "'1 ** 9 ** 9 ** 9 < 2'"),
    *(
        "one_of: {optimizer: []}",
        "when: {a: b}",
        "task: os:system",
        "{x: {root: ../../etc, n: 1e5}}",
        "schedule.points",
    ),
)
# What asks for much work in few bytes.
HOSTILE = (
    "{randint: [0, 1000000000]}",
    "{quniform: [0, 1, 1e-9]}",
    "{choice: [" + ", ".join(map(str, range(4000))) + "]}",
)


@dataclass
class Outcome:
    """What a number of damaged files came to."""

    files: int = 0
    read: int = 0
    refused: int = 0
    worst_seconds: float = 0.0
    worst_file: str = ""
    slow: list[str] = field(default_factory=list)
    escaped: list[str] = field(default_factory=list)
    rss_before_mib: float = 0.0
    rss_peak_mib: float = 0.0


def damaged(text: str, source: random.Random) -> str:
    """A text after one to six changes; many with one, which may still be valid."""
    for _ in range(source.choice((1, 1, 1, 2, 3, 6))):
        if len(text) > LARGE:  # the next change of such a text could need more memory than the reader may have
            break
        text = source.choice(CHANGES)(text, source)
    return text


def _span(text: str, source: random.Random, longest: int) -> tuple[int, int]:
    start = source.randrange(len(text) + 1)
    return start, min(len(text), start + source.randint(0, longest))


def _delete(text: str, source: random.Random) -> str:
    start, end = _span(text, source, 60)
    return text[:start] + text[end:]


def _insert(text: str, source: random.Random) -> str:
    start, _ = _span(text, source, 0)
    return text[:start] + source.choice(NASTY) + text[start:]


def _flip(text: str, source: random.Random) -> str:
    start, _ = _span(text, source, 0)
    return text[:start] + chr(source.choice((source.randrange(128), source.randrange(0xD800)))) + text[start + 1 :]


def _word(text: str, source: random.Random) -> str:
    words = list(re.finditer(r"[\w.@/+-]+|\[[^\]\n]*\]|\{[^}\n]*\}", text))
    if not words:
        return text
    word = source.choice(words)
    return text[: word.start()] + source.choice(NASTY) + text[word.end() :]


def _number(text: str, source: random.Random) -> str:
    numbers = list(re.finditer(r"\b\d[\d.e-]*", text))
    if not numbers:
        return text
    number = source.choice(numbers)
    scaled = source.choice(("0", "-1", "1e-300", "1e300", "0.5", "7", "1e18", "10000000000", "nan"))
    return text[: number.start()] + scaled + text[number.end() :]


def _lines(text: str, source: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    one, other = source.randrange(len(lines)), source.randrange(len(lines))
    match source.randrange(4):
        case 0:
            lines[one], lines[other] = lines[other], lines[one]
        case 1:
            lines.insert(one, lines[other])
        case 2:
            lines[one] = " " * source.randint(1, 8) + lines[one]
        case _:
            lines[one] = lines[one].lstrip()
    return "".join(lines)


def _graft(text: str, source: random.Random) -> str:
    other = source.choice((*SPACES, *ABLATIONS))
    start, end = _span(other, source, 400)
    at, _ = _span(text, source, 0)
    return text[:at] + other[start:end] + text[at:]


def _repeat(text: str, source: random.Random) -> str:
    start, end = _span(text, source, 80)
    times = source.choice((2, 10, 100, 3000))
    return text[:end] + text[start:end] * times + text[end:]


def _explode(text: str, source: random.Random) -> str:
    """Every distribution asks for much, in a grid or not."""
    wide = re.sub(r"\{\w+: \[[^\]]*\]\}", source.choice(HOSTILE), text)
    return wide + source.choice(("", "\nsampler: {kind: grid}\n", "\nruns: 1000000000\n"))


CHANGES: tuple[Callable[[str, random.Random], str], ...] = (
    *(_delete, _insert, _flip, _word, _word, _number, _number, _lines, _lines, _graft, _repeat, _explode),
)


def read(text: str, ablation: bool, everything: bool = True) -> None:
    """All that happens to a file before anything is trained; or only that it is parsed, which is half the work.

    Raises:
        UsageError: The file is invalid.
    """
    if ablation:
        parsed = parse_ablation(text, "damaged.yaml", "damaged")
        if everything:
            dump_ablation(parsed)
    else:
        spec = parse_space(text, "damaged.yaml", "damaged")
        if everything:
            dump_space(spec)
            lint_lines(lint(spec))


def measure(count: int, seed: int, everything: bool = True) -> Outcome:
    """Read this many damaged files, every fourth of an ablation."""
    source, outcome = random.Random(seed), Outcome()
    for text in SPACES:
        read(text, ablation=False, everything=everything)  # what is imported late
    process = psutil.Process()
    outcome.rss_before_mib = process.memory_info().rss / 2**20
    allowed = process.memory_info().vms + MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    for index in range(count):
        ablation = index % 4 == 3
        text = damaged(source.choice(ABLATIONS if ablation else SPACES), source)
        began = time.process_time()
        try:
            read(text, ablation, everything)
            outcome.read += 1
        except UsageError as error:
            outcome.refused += 1
            if not error.problems or "Traceback" in str(error):
                outcome.escaped.append(f"{index}: refused without a reason\n{text[:2000]}")
        except Exception as error:  # noqa: BLE001  a traceback is what is looked for
            outcome.escaped.append(f"{index}: {type(error).__name__}: {error}"[:300] + f"\n{text[:2000]}")
        seconds = time.process_time() - began
        if seconds > outcome.worst_seconds:
            outcome.worst_seconds, outcome.worst_file = seconds, text[:2000]
        if seconds > SECONDS:
            outcome.slow.append(f"{index}: {seconds:.2f} s\n{text[:2000]}")
    outcome.files = count
    outcome.rss_peak_mib = _peak_mib()
    return outcome


def _peak_mib() -> float:
    """The most memory that this process ever held; what `getrusage` says counts the one that started it, too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(asdict(measure(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "all"))))
