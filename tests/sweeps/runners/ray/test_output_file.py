from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from sweeps.runners.ray.output_file import LARGEST, read_output


def worker(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process whose output is kept in a file."""
    opening = f"""
        import os, subprocess, sys
        from pathlib import Path
        from sweeps.runners.ray import output_file
        output, path = output_file.OutputFile(), Path({str(path)!r})
        output.begin(path)
    """
    program = textwrap.dedent(opening) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)


def test_python_c_code_and_children_are_kept_in_order(tmp_path: Path) -> None:
    done = worker(
        """
        print("python")
        os.write(2, b"c code\\n") if not sys.stdout.flush() else None
        subprocess.run(["echo", "child"])
        text = output.news(True)
        output.end()
        print("after", repr(text))
        """,
        tmp_path / "out",
    )
    assert done.stdout == "python\nc code\nchild\nafter 'python\\nc code\\nchild'\n"
    assert not (tmp_path / "out").exists()


def test_what_was_printed_last_is_returned_or_left_in_the_file(tmp_path: Path) -> None:
    code = """
        print("reported")
        output.news(True)
        print("last")
        print("left", repr(output.end(KEEP)), repr(output.end(KEEP)))
        """
    for keep in (False, True):
        done = worker(code.replace("KEEP", str(keep)), tmp_path / "out")
        assert done.stdout.splitlines()[-1] == "left 'reported\\nlast' None"
        assert read_output(tmp_path / "out") == ("reported\nlast" if keep else None)


def test_what_a_dead_process_printed_is_in_its_file(tmp_path: Path) -> None:
    done = worker("print('last words', flush=True); os._exit(3)", tmp_path / "out")
    assert done.returncode == 3
    assert read_output(tmp_path / "out") == "last words"
    assert read_output(tmp_path / "absent") is None


def test_a_large_file_is_replaced_by_its_last_lines(tmp_path: Path) -> None:
    done = worker(
        """
        for index in range(60_000):
            print(index, "x" * 100)
        output.news(True)
        print("end", flush=True)
        os._exit(0)
        """,
        tmp_path / "out",
    )
    assert done.returncode == 0
    assert (tmp_path / "out").stat().st_size < LARGEST  # of 6.5 MB; a slow process is looked at in between
    lines = (read_output(tmp_path / "out") or "").split("\n")
    assert (len(lines), lines[-1], lines[-2].split()[0]) == (200, "end", "59999")


def test_a_file_that_cannot_be_made_leaves_the_output_as_it_was(tmp_path: Path) -> None:
    done = worker("print('seen', output.news(True)); output.end()", tmp_path / "absent" / "out")
    assert done.stdout == "seen None\n"


def test_a_file_of_a_worker_that_was_not_used_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("of another worker\n")
    done = worker("print('used'); text = output.news(True); output.end(); print(repr(text))", path)
    assert done.stdout == "used\n'used'\n"
    assert not path.exists()


def test_the_file_of_another_worker_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "out"
    done = worker("path.unlink(); path.write_text('of another'); output.end()", path)
    assert done.returncode == 0
    assert path.read_text() == "of another"
