from __future__ import annotations

import threading

import pytest

from sweeps.output_tail import KEPT_LINES, LONGEST_COMMAND, LONGEST_LINE, SEND_EVERY_S, OutputTail


def shown(*parts: bytes) -> list[str]:
    tail = OutputTail()
    for part in parts:
        tail.write(part)
    return tail.text().split("\n")


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ((b"one\ntw", b"o\nthree"), ["one", "two", "three"]),
        ((b"one\r\ntwo\r\n",), ["one", "two"]),
        ((b"\r 10%|#", b"\r 20%|##", b"\r100%|##########\ndone\n"), ["100%|##########", "done"]),
        ((b"10%\r", b"20%\r"), ["20%"]),
        ((b"\x1b[31mred\x1b[0m \x1b]0;title\x07bell\x07",), ["red bell\\x07"]),
        ((b"nul\0", b"bad \xff", b"\xc3", b"\xa9"), ["nul\\x00bad \\xffé"]),
        ((b"a\n\nb\n",), ["a", "", "b"]),
    ],
)
def test_lines_are_kept_as_a_terminal_would_show_them(parts: tuple[bytes, ...], lines: list[str]) -> None:
    assert shown(*parts) == lines


def test_only_the_last_lines_are_kept() -> None:
    lines = shown(*(f"{index}\n".encode() for index in range(1000)), b"unfinished")
    assert lines == [*map(str, range(1000 - KEPT_LINES + 1, 1000)), "unfinished"]


@pytest.mark.parametrize("command", ["$ train --lr 0.1", f"$ train {'x' * 5000}"])
def test_a_command_stays_the_first_line(command: str) -> None:
    text = f"{command}\n" + "".join(f"{index}\n" for index in range(1000))
    lines = shown(text[:5].encode(), text[5:].encode())
    assert lines == [command, *map(str, range(1000 - KEPT_LINES + 1, 1000))]
    assert shown("\n".join(lines).encode()) == lines
    assert len(shown(b"$ " + b"x" * 99_999 + b"\n")[0]) < 2 * LONGEST_COMMAND


def test_a_long_line_is_cut_and_needs_little_memory() -> None:
    tail = OutputTail()
    for _ in range(1000):
        tail.write(b"x" * 10_000)
    assert len(tail._last) < 20 * LONGEST_LINE
    assert tail.text() == "x" * LONGEST_LINE + " ... (cut)"
    tail.write(b"\nnext\n")
    assert tail.text().endswith(" ... (cut)\nnext")


def test_lines_of_several_threads_all_arrive() -> None:
    tail = OutputTail()
    threads = [
        threading.Thread(target=lambda name=name: [tail.write(f"{name}\n".encode()) for _ in range(20)])
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tail.text().split("\n")) == sorted("abcd" * 20)


def test_news_come_now_and_then_and_at_the_end() -> None:
    now = [0.0]
    tail = OutputTail(lambda: now[0])
    assert tail.news(at_once=True) is None
    tail.write(b"a\n")
    assert tail.news(at_once=False) == "a"
    tail.write(b"b\n")
    assert tail.news(at_once=False) is None
    assert tail.news(at_once=True) == "a\nb"
    tail.write(b"c\n")
    now[0] += SEND_EVERY_S
    assert tail.news(at_once=False) == "a\nb\nc"
    assert tail.news(at_once=True) is None
