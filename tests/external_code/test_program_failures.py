"""What programs do wrong: the quantum fails with a reason, others go on, and the record is kept."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from external_code.errors import ProgramError
from external_code.program import Ran, find_program, run_program
from tests.external_code.test_requirements import shell, text_output
from tests.plugins.task_fixtures import IMAGE, TaskRunner


def execute(script: str, folder: Path, timeout_s: float | None = None, keep_bytes: int = 1 << 20) -> Ran:
    """Run a script of a shell in a folder."""
    return run_program(
        ["sh", "-c", script],
        directory=folder,
        console=folder,
        environment=os.environ,
        timeout_s=timeout_s,
        keep_bytes=keep_bytes,
    )


def alive(name: str) -> list[str]:
    """Return the command lines of processes that have a word in them."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if name in words:
            found.append(" ".join(words))
    return found


@pytest.mark.parametrize(
    ("script", "code", "signal"),
    [
        ("exit 0", 0, None),
        ("exit 3", 3, None),
        ("kill -9 $$", None, "SIGKILL"),
        ("kill -15 $$", None, "SIGTERM"),
    ],
)
def test_exit_codes_and_signals_are_told_apart(
    tmp_path: Path, script: str, code: int | None, signal: str | None
) -> None:
    ran = execute(script, tmp_path)
    assert (ran.exit_code, ran.signal, ran.timed_out, ran.ended) == (code, signal, False, 0)


@pytest.mark.parametrize(
    "script",
    [
        "(sleep 3601.1 & sleep 3601.1 & wait) & sleep 3601.1",
        "setsid sh -c 'sleep 3601.1 & sleep 3601.1' & sleep 3601.1",
        "trap '' TERM; sleep 3601.1; sleep 3601.1",
    ],
    ids=["grandchildren", "another session", "a program that ignores SIGTERM"],
)
def test_all_processes_end_at_the_timeout(tmp_path: Path, script: str) -> None:
    began = time.monotonic()
    ran = execute(script, tmp_path, timeout_s=0.5)
    assert ran.timed_out
    assert time.monotonic() - began < 10
    assert alive("3601.1") == []


def test_fifty_children_end_at_the_timeout(tmp_path: Path) -> None:
    ran = execute("for i in $(seq 50); do sleep 3602.1 & done; wait", tmp_path, timeout_s=1)
    assert ran.timed_out
    assert alive("3602.1") == []


def test_children_that_a_program_leaves_behind_end_with_it(tmp_path: Path) -> None:
    ran = execute("setsid sleep 3603.1 & sleep 3603.1 & exit 0", tmp_path)
    assert ran.exit_code == 0
    assert ran.ended >= 1
    assert alive("3603.1") == []


def test_a_child_that_is_not_ended_would_be_seen(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "3604.1"]) as child:
        try:
            # It has the name of its program once that has been loaded.
            until = time.monotonic() + 30
            while not alive("3604.1") and time.monotonic() < until:
                time.sleep(0.01)
            assert alive("3604.1")
        finally:
            child.kill()


def test_a_megabyte_of_output_is_kept_whole(tmp_path: Path) -> None:
    ran = execute("yes 'a line of output' | head -c 1000000; echo end >&2", tmp_path)
    assert ran.stdout == ("a line of output\n" * 60_000)[:1_000_000]
    assert ran.stderr == "end\n"


def test_of_more_output_than_is_kept_the_first_and_the_last_part_stay(tmp_path: Path) -> None:
    ran = execute("echo first; yes | head -c 1000000; echo last", tmp_path, keep_bytes=1000)
    assert ran.stdout.startswith("first\ny\n")
    assert ran.stdout.endswith("y\nlast\n")
    assert "... 999011 bytes are left out here ..." in ran.stdout
    assert ran.stdout_bytes == 1_000_011


def test_output_that_is_no_text_is_kept_as_far_as_it_is(tmp_path: Path) -> None:
    assert execute(r"printf 'a\377\000b'", tmp_path).stdout == "a\ufffd\0b"


@pytest.mark.parametrize(
    ("name", "problem"), [("no-such-program", "is not found"), ("/etc/passwd", "is no executable file")]
)
def test_a_program_that_cannot_run_is_named(name: str, problem: str) -> None:
    with pytest.raises(ProgramError, match=f"program {name}: {problem}"):
        find_program(name)


def test_a_file_that_is_no_program_is_an_error_of_ours(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    with pytest.raises(ProgramError, match="cannot be started"):
        run_program(
            [str(broken)], directory=tmp_path, console=tmp_path, environment={}, timeout_s=1, keep_bytes=10
        )


@pytest.fixture(scope="module")
def failing(tasks: TaskRunner) -> tuple[TaskRunner, str, dict[tuple[str, str], Any]]:
    """Return a run in which each task fails in its way on detector 94, and succeeds on 93."""

    def on_94(script: str, **settings: Any) -> dict[str, Any]:
        return shell(f"if [ {{id.detector}} = 94 ]; then {script}; fi; echo fine", **settings)

    after = {
        "executable": "cat",
        "dimensions": ["instrument", "visit", "detector"],
        "arguments": ["{inputs.made}"],
        "inputs": {"made": {"dataset_type": "failing_made", "storage_class": "KeptText"}},
    }
    done = tasks.run(
        {
            "code": on_94("echo why >&2; exit 3"),
            "signal": on_94("kill -9 $$"),
            "timeout": on_94("sleep 3605.1 & sleep 3605.1", timeout=0.5),
            "full": on_94("head -c 10000 /dev/zero > /dev/full || exit 1"),
            "megabyte": on_94("head -c 1000000 /dev/zero | tr '\\0' x; exit 1"),
            "missing": shell(
                "[ {id.detector} = 94 ] || echo > output.txt", outputs={"made": text_output("failing_made")}
            ),
            "after": after,
            "reader": shell(
                "if [ {id.detector} = 94 ]; then echo '{{'; else echo 'a: 1'; fi > output.yaml",
                outputs={
                    "made": {
                        "dataset_type": "failing_yaml",
                        "storage_class": "StructuredDataDict",
                        "file": "output.yaml",
                        "by": "put",
                    }
                },
            ),
        }
    )
    outcomes = {(one.task, one.data_id.split()[1]): one for one in done.outcomes}
    return tasks, done.run, outcomes


def test_what_fails_does_not_keep_others_from_running(
    failing: tuple[TaskRunner, str, dict[tuple[str, str], Any]],
) -> None:
    _, _, outcomes = failing
    assert {name for (name, detector), one in outcomes.items() if one.status == "success"} == {
        *("code", "signal", "timeout", "full", "megabyte", "missing", "after", "reader")
    }
    assert {key for key, one in outcomes.items() if one.status == "success"} == {
        key for key in outcomes if key[1] == "detector=93"
    }
    assert outcomes["after", "detector=94"].status == "skipped"


@pytest.mark.parametrize(
    ("name", "problem", "record"),
    [
        ("code", "program sh: ended with exit code 3; it said: why", {"exit_code": 3, "stderr": "why\n"}),
        ("signal", "ended with signal SIGKILL", {"exit_code": None, "signal": "SIGKILL"}),
        ("timeout", "was ended after 0.5 s, its time limit", {"timed_out": True}),
        ("full", "No space left on device", {"exit_code": 1}),
        ("megabyte", "ended with exit code 1", {"stdout_bytes": 1_000_000, "stdout": "x" * 1_000_000}),
        ("missing", "the program wrote no such file", {"exit_code": 0, "files": []}),
        ("reader", "output.yaml cannot be read", {"exit_code": 0}),
    ],
)
def test_a_quantum_fails_with_a_reason_and_its_record_is_kept(
    failing: tuple[TaskRunner, str, dict[tuple[str, str], Any]],
    name: str,
    problem: str,
    record: dict[str, Any],
) -> None:
    tasks, run, outcomes = failing
    assert problem in outcomes[name, "detector=94"].problem
    kept = tasks.get(run, f"{name}_record", detector=94)
    assert {key: kept[key] for key in record} == record
    assert problem in kept["problem"]
    assert len(kept["executable_sha256"]) == 64
    assert kept["argv"][0] == kept["executable"]
    assert tasks.get(run, f"{name}_record", detector=93)["problem"] is None


def test_an_input_that_is_gone_or_cannot_be_read_is_named(tasks: TaskRunner, tmp_path: Path) -> None:
    made = tasks.run({"first": shell("echo > output.txt", outputs={"text": text_output("unreadable")})})
    tasks.get(made.run, "unreadable", detector=93).path.unlink()
    broken = tasks.get(made.run, "unreadable", detector=94).path
    broken.unlink()
    broken.mkdir()
    kept = {"dataset_type": "unreadable", "storage_class": "KeptText"}
    problems = {}
    for access, hdu in (("auto", ""), ("copy", ""), ("auto", "1")):
        second = shell("cat {inputs.text}")
        second["inputs"] = {"image": IMAGE, "text": {**kept, "access": access, "hdu": hdu}}
        done = tasks.run({"second": second}, inputs=("LSSTCam/runs/images", made.run))
        assert done.counts == {("second", "failure"): 2}
        problems[access, hdu] = {str(one.problem) for one in done.failed}
    assert all("the file of dataset" in one and "is not there" in one for one in problems["auto", ""])
    assert all("input text" in one and "cannot be copied" in one for one in problems["copy", ""])
    assert all("input text: HDU 1 of" in one for one in problems["auto", "1"])
