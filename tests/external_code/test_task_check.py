"""`tapdb task init` and `check`: pipelines from descriptions, and what is found before a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline

from examples.images.repository import IMAGE_RUN
from examples.programs import SEP, SOURCES
from external_code.checking import check_pipeline
from external_code.errors import TaskFileError, TemplateNameError
from external_code.storage import CLASSES, prepare_repository
from external_code.templates import fill_template
from tapdb.cli.root import main
from tests.external_code.test_requirements import shell, text_output
from tests.plugins.task_fixtures import BY_DETECTOR, FIRST_VISIT, IMAGE, TaskRunner

DESCRIPTION = "description: a\ntasks: {{t: {{executable: x, dimensions: [visit], inputs: {}}}}}"


def test_braces_are_names_and_doubled_braces_are_braces() -> None:
    assert fill_template("{a}{{b}}{c.d}", {"a": 1, "c.d": "x"}) == "1{b}x"
    with pytest.raises(TemplateNameError, match=r'there is no "inputs\.imge"; did you mean "inputs\.image"'):
        fill_template("{inputs.imge}", {"inputs.image": ""})
    for broken in ("{a", "a}", "{a}}"):
        with pytest.raises(TemplateNameError, match=r"stands alone"):
            fill_template(broken, {"a": 1})


def test_a_template_is_no_expression() -> None:
    for text in ("{a.__class__}", "{a!r}", "{a:>10}", "{a[0]}"):
        with pytest.raises(TemplateNameError, match="there is no"):
            fill_template(text, {"a": 1})


def test_init_writes_a_pipeline_that_pipe_base_reads(tmp_path: Path) -> None:
    target = tmp_path / "pipeline.yaml"
    result = CliRunner().invoke(main, ["task", "init", str(SOURCES), "-o", str(target)])
    assert result.exit_code == 0, result.output
    graph = Pipeline.from_uri(str(target)).to_graph()
    assert set(graph.tasks) == {"sources", "levels"}
    config: Any = graph.tasks["sources"].config
    assert config.inputs["image"].hdu == "IMAGE"
    assert config.record == "sources_record"
    assert config.arguments[2] == str(SOURCES.parent / "sources.sex")
    second: Any = graph.tasks["levels"].config
    assert second.outputs["level"].by == "ingest"
    again = CliRunner().invoke(main, ["task", "init", str(SOURCES), "-o", str(target)])
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_a_configuration_that_butler_keeps_is_the_one_that_was_run(tasks: TaskRunner) -> None:
    done = tasks.run({"configured": shell("true", environment={"A": "b"})})
    with tasks.butler(done.run) as butler:
        config = butler.get("configured_config")
        assert dict(config.environment) == {"A": "b"}
        assert config.inputs["image"].dataset_type == "visit_image"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "is no YAML"),
        ("[]", "top level: Input should be"),
        ("description: a\ntasks: {}", "tasks: Dictionary should have at least 1 item"),
        (
            "description: a\ntasks: {t: {executable: x, dimensions: [visit], colour: 1}}",
            "tasks.t.colour: Extra inputs are not permitted",
        ),
        (
            DESCRIPTION.format("{i: {dataset_type: a, storage_class: b, access: never}}"),
            "tasks.t.inputs.i.access: Input should be",
        ),
    ],
)
def test_a_description_that_is_wrong_is_one_message_with_its_place(
    tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "description.yaml"
    file.write_text(text)
    result = CliRunner().invoke(main, ["task", "init", str(file)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {file}: ")
    assert problem in result.stderr


def test_a_repository_is_prepared_once_and_keeps_what_it_had(tmp_path: Path) -> None:
    Butler.makeRepo(str(tmp_path))
    settings = tmp_path / "butler.yaml"
    before = yaml.safe_load(settings.read_text())
    result = CliRunner().invoke(main, ["task", "init", "--repository", str(tmp_path)])
    assert result.exit_code == 0, result.output
    after = yaml.safe_load(settings.read_text())
    assert set(after["storageClasses"]) == set(CLASSES)
    assert {key: after[key] for key in before if key != "datastore"} == {
        key: before[key] for key in before if key != "datastore"
    }
    assert not prepare_repository(str(tmp_path))
    missing = CliRunner().invoke(main, ["task", "init", "--repository", str(tmp_path / "none")])
    assert missing.exit_code == 1
    assert "butler.yaml cannot be read" in missing.stderr


def found(tasks: TaskRunner, described: dict[str, Any], **options: Any) -> dict[tuple[str, str], str]:
    """Return what the check finds, by rule and subject."""
    findings = check_pipeline(tasks.repository, str(tasks.write(described)), **options)
    return {(one.rule, one.subject): f"{one.problem}; {one.remedy}" for one in findings}


def test_the_examples_have_nothing_wrong(tasks: TaskRunner) -> None:
    for description in (SOURCES, SEP):
        assert check_pipeline(tasks.repository, str(tasks.write_described(description))) == []


@pytest.mark.parametrize(
    ("change", "rule", "subject", "problem"),
    [
        ({"executable": "no-such"}, "executable", "t", "program no-such: is not found"),
        ({"arguments": ["{inputs.imag}"]}, "template", "t.arguments[0]", 'did you mean "inputs.image"'),
        ({"arguments": ["{id.patch}"]}, "template", "t.arguments[0]", 'there is no "id.patch"'),
        ({"arguments": ["nothing"]}, "unused", "t.inputs.image", "no template names this input"),
        ({"environment": {"A": "{"}}, "template", "t.environment.A", "stands alone"),
        ({"dimensions": ["instrument", "vist"]}, "dimensions", "t", "vist"),
        ({"directory": "/etc/passwd/nowhere"}, "directory", "t", "cannot be made"),
        (
            {"inputs": {"image": {**IMAGE, "dataset_type": "nothing"}}},
            "dataset-type",
            "t.inputs.image",
            "no dataset type nothing",
        ),
        (
            {"inputs": {"image": {**IMAGE, "storage_class": "KeptCsv"}}},
            "storage-class",
            "t.inputs.image",
            "has storage class KeptFits, not KeptCsv",
        ),
        (
            {"inputs": {"image": {**IMAGE, "storage_class": "Nowhere"}}},
            "storage-class",
            "t.inputs.image",
            "no storage class Nowhere",
        ),
        (
            {"inputs": {"image": {**IMAGE, "calibration": True}}},
            "calibration",
            "t.inputs.image",
            "is no calibration",
        ),
        (
            {
                "dimensions": ["instrument", "visit"],
                "inputs": {"image": {**IMAGE, "dimensions": list(BY_DETECTOR)}},
            },
            "dimensions",
            "t.inputs.image",
            "WPT-005",
        ),
        (
            {"outputs": {"o": {**text_output("check_o"), "storage_class": "StructuredDataDict"}}},
            "storage-class",
            "t.outputs.o",
            "does not pass files through",
        ),
        (
            {"outputs": {"o": {**text_output("check_o"), "by": "ingest"}}},
            "storage-class",
            "t.outputs.o",
            "passes files through",
        ),
        (
            {
                "outputs": {
                    "o": {
                        "dataset_type": "check_o",
                        "storage_class": "StructuredDataDict",
                        "file": "o.json",
                        "by": "ingest",
                    }
                }
            },
            "extension",
            "t.outputs.o",
            "o.json is no file of StructuredDataDict; they end in .yaml",
        ),
        (
            {"outputs": {"o": {**text_output("check_o"), "by": "put"}}},
            "reader",
            "t.outputs.o",
            "nothing is known that reads a KeptText",
        ),
        (
            {"outputs": {"o": {**text_output("check_o"), "by": "put", "reader": "os:nothing"}}},
            "reader",
            "t.outputs.o",
            "reader os:nothing is not found",
        ),
    ],
)
def test_what_would_fail_is_found_before_a_run(
    tasks: TaskRunner, change: dict[str, Any], rule: str, subject: str, problem: str
) -> None:
    seen = found(tasks, {"t": {**shell("true"), **change}})
    assert (rule, subject) in seen, seen
    assert problem in seen[rule, subject]


def test_ingest_is_refused_under_a_quantum_backed_butler_and_pass_is_named(tasks: TaskRunner) -> None:
    output = {
        "dataset_type": "check_yaml",
        "storage_class": "StructuredDataDict",
        "file": "o.yaml",
        "by": "ingest",
    }
    described = {"t": shell("true", outputs={"o": output})}
    assert found(tasks, described) == {}
    (said,) = found(tasks, described, quantum_backed=True).values()
    assert "cannot ingest files; store it by pass" in said
    assert "KeptFile" in said


def test_the_command_prints_findings_and_fails_for_errors(tasks: TaskRunner) -> None:
    pipeline = tasks.write({"t": {**shell("true"), "executable": "no-such"}})
    result = CliRunner().invoke(main, ["task", "check", str(pipeline), tasks.repository, "--format", "json"])
    assert result.exit_code == 1
    assert [one["rule"] for one in json.loads(result.stdout)] == ["executable"]
    done = CliRunner().invoke(
        main, ["task", "run", str(pipeline), tasks.repository, "-i", IMAGE_RUN, "-o", "u/tests/never"]
    )
    assert done.exit_code == 1
    assert "1 error: executable" in done.stderr
    with tasks.butler(IMAGE_RUN) as butler:
        assert list(butler.collections.query("u/tests/never*")) == []


def test_the_command_runs_a_pipeline_and_says_what_came_of_it(tasks: TaskRunner, tmp_path: Path) -> None:
    pipeline = tasks.write({"t": shell("[ {id.detector} = 93 ]")})
    arguments = ["-i", IMAGE_RUN, "-o", "u/tests/command", "-d", f"visit = {FIRST_VISIT}"]
    result = CliRunner().invoke(
        main,
        ["task", "run", str(pipeline), tasks.repository, *arguments, "--summary", str(tmp_path / "s.json")],
    )
    assert result.exit_code == 1
    assert "t: 1 failure\nt: 1 success\n" in result.stdout
    assert "t instrument=LSSTCam detector=94" in result.stderr
    assert "ended with exit code 1" in result.stderr
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["run"] == result.stdout.splitlines()[-1]
    assert sorted(one["status"] for one in summary["quanta"]) == ["failure", "success"]
    again = CliRunner().invoke(
        main, ["task", "run", str(pipeline), tasks.repository, *arguments, "--run", summary["run"]]
    )
    assert (again.exit_code, again.stdout) == (1, "")
    assert f"repository {tasks.repository}: RUN {summary['run']} has outputs of {pipeline}" in again.stderr
    with tasks.butler("u/tests/command") as butler:
        assert butler.collections.get_info("u/tests/command").children == (summary["run"], IMAGE_RUN)


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("visit = 1", "no input data are there"),
        ("vist = 1", "can be made: Unrecognized identifier"),
        ("visit =", "can be made: "),
    ],
)
def test_nothing_to_run_is_one_message(tasks: TaskRunner, where: str, problem: str) -> None:
    pipeline = tasks.write({"t": shell("true")})
    arguments = ["-i", IMAGE_RUN, "-o", "u/tests/nothing", "-d", where]
    result = CliRunner().invoke(main, ["task", "run", str(pipeline), tasks.repository, *arguments])
    assert result.exit_code == 1
    assert problem in result.stderr
    assert "Traceback" not in result.stderr


def test_a_file_that_is_no_pipeline_is_one_message(tasks: TaskRunner, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text("description: x\ntasks: {t: {class: os.path}}")
    with pytest.raises(TaskFileError, match="cannot be read as a pipeline"):
        check_pipeline(tasks.repository, str(file))
    for arguments in (
        ["task", "check", str(file), str(tmp_path)],
        ["task", "check", str(SOURCES), str(tmp_path)],
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert "cannot be read as a pipeline" in result.stderr
