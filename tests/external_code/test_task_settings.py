"""Programs in other surroundings: two processes, a Quantum-Backed Butler, files on S3, composites."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from lsst.ctrl.mpexec.cli.pipetask import cli as pipetask
from lsst.daf.butler import Butler, Config, DatasetType
from lsst.pipe.base.script.transfer_from_graph import transfer_from_graph
from moto.server import ThreadedMotoServer

from examples.images import ImageSurvey, make_image_repository
from examples.images.repository import IMAGE_RUN
from examples.lsstcam.layout import BUTLER_OPTIONS
from examples.programs import SOURCES
from external_code.checking import check_pipeline
from external_code.running import build_graph, open_repository, read_pipeline
from external_code.storage import KeptFile
from tests.external_code.test_requirements import shell, text_output
from tests.plugins.task_fixtures import FIRST_VISIT, IMAGE, TaskRunner

ONE_EACH = ImageSurvey(epochs=1, filters=("g_6",))


def test_two_quanta_run_at_once_in_two_processes_and_a_failure_has_its_reason(
    tasks: TaskRunner, tmp_path: Path
) -> None:
    """Each waits for the other: in one process the first would wait in vain."""
    other = "$((187 - {id.detector}))"
    wait = f"for i in $(seq 1000); do [ -e {tmp_path}/{other} ] && exit $((({{id.detector}} - 93) * 4))"
    script = f"touch {tmp_path}/{{id.detector}}; {wait}; sleep 0.1; done; exit 1"
    done = tasks.run({"pair": shell(script, timeout=120)}, processes=2)
    assert done.counts == {("pair", "success"): 1, ("pair", "failure"): 1}
    assert "ended with exit code 4" in str(done.failed[0].problem)


def write_graph(tasks: TaskRunner, described: dict[str, Any], run: str, file: Path) -> None:
    """Write the graph of what is described over one visit."""
    pipeline = read_pipeline(str(tasks.write(described)))
    with open_repository(tasks.repository, collections=[IMAGE_RUN], writeable=True) as butler:
        parts = build_graph(butler, pipeline, run=run, where=f"visit = {FIRST_VISIT}")
        parts.assemble().pipeline_graph.register_dataset_types(butler)
    parts.write(str(file))


def test_under_a_quantum_backed_butler_files_pass_through_and_ingest_is_refused(
    tasks: TaskRunner, tmp_path: Path
) -> None:
    yaml_output = {"storage_class": "StructuredDataDict", "file": "o.yaml"}
    described = {
        "passing": shell(
            "echo {id.detector} > output.txt; echo 'a: 1' > o.yaml",
            outputs={
                "text": text_output("qbb_text"),
                "values": {**yaml_output, "dataset_type": "qbb_values", "by": "put"},
            },
        ),
        "ingesting": shell(
            "echo 'a: 1' > o.yaml",
            outputs={"values": {**yaml_output, "dataset_type": "qbb_ingested", "by": "ingest"}},
        ),
    }
    graph, run = tmp_path / "graph.qg", "u/tests/qbb"
    write_graph(tasks, described, run, graph)
    runner = CliRunner()
    begun = runner.invoke(pipetask, ["pre-exec-init-qbb", tasks.repository, str(graph)])
    assert begun.exit_code == 0, begun.output
    runner.invoke(pipetask, ["run-qbb", tasks.repository, str(graph)])
    transfer_from_graph(
        str(graph),
        tasks.repository,
        register_dataset_types=False,
        transfer_dimensions=False,
        update_output_chain=False,
        dry_run=False,
        dataset_type=(),
    )
    for detector in (93, 94):
        assert tasks.get(run, "qbb_text", detector=detector).read() == f"{detector}\n".encode()
        assert tasks.get(run, "qbb_values", detector=detector) == {"a": 1}
        said = tasks.get(run, "ingesting_record", detector=detector)["problem"]
        assert "a Quantum-Backed Butler cannot ingest files; store it by pass" in said


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Return the URI of a bucket on a server of S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {
        "S3_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret-of-s3",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="images")
        client.close()
        yield "s3://images/"
    server.stop()


def test_files_on_s3_are_copied_or_passed_by_uri_and_outputs_go_there(bucket: str, tmp_path: Path) -> None:
    repository = make_image_repository(tmp_path / "butler", ONE_EACH, datastore_root=bucket)
    tasks = TaskRunner(str(repository.root), tmp_path)
    by_uri = shell('echo "$1"')
    by_uri["inputs"] = {"image": {**IMAGE, "access": "uri"}}
    in_place = shell('echo "$1"')
    in_place["inputs"] = {"image": {**IMAGE, "access": "in_place"}}
    described = {"auto": shell('echo "$1"; head -c 6 "$1"'), "uri": by_uri, "in_place": in_place}
    done = tasks.run(described)
    assert done.counts == {("auto", "success"): 2, ("uri", "success"): 2, ("in_place", "failure"): 2}
    copied, start = tasks.get(done.run, "auto_record")["stdout"].splitlines()
    assert start == "SIMPLE"
    assert not Path(copied).exists()
    assert tasks.get(done.run, "uri_record")["stdout"].startswith(f"{bucket}LSSTCam/runs/images/visit_image/")
    assert "is not a local file; access auto or copy" in str(done.failed[0].problem)
    made = tasks.run(tasks.write_described(SOURCES))
    assert made.counts == {("sources", "success"): 2, ("levels", "success"): 2}
    background = tasks.get(made.run, "background")
    assert isinstance(background, KeptFile)
    assert background.uri.startswith(bucket)
    assert background.read().startswith(b"SIMPLE")
    assert tasks.get(made.run, "background_level")["pixels"] == 204 * 200


def test_a_dataset_in_several_files_is_refused_before_and_at_the_run(tmp_path: Path) -> None:
    root = tmp_path / "butler"
    Butler.makeRepo(str(root), config=Config(dict(BUTLER_OPTIONS)))
    with Butler.from_config(str(root), writeable=True, run="in") as butler:
        butler.registry.insertDimensionData(
            "instrument", {"name": "Cam", "class_name": "x", "detector_max": 9}
        )
        butler.registry.insertDimensionData("detector", {"instrument": "Cam", "id": 1, "full_name": "one"})
        pair = DatasetType("pair", ("instrument", "detector"), "ImageAndMask", universe=butler.dimensions)
        butler.registry.registerDatasetType(pair)
        butler.put(SimpleNamespace(image={"a": 1}, mask={"b": 2}), pair, instrument="Cam", detector=1)
    tasks = TaskRunner(str(root), tmp_path)
    pipeline = tasks.write(
        {
            "t": {
                "executable": "cat",
                "dimensions": ["instrument", "detector"],
                "arguments": ["{inputs.pair}"],
                "inputs": {"pair": {"dataset_type": "pair", "storage_class": "ImageAndMask"}},
            }
        }
    )
    assert [(one.rule, one.subject) for one in check_pipeline(str(root), str(pipeline))] == [
        ("composite", "t.inputs.pair")
    ]
    (failed,) = tasks.run(pipeline, where="", inputs=("in",)).failed
    assert "is in several files (image, mask); a program is given datasets of one" in str(failed.problem)
