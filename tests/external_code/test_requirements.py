"""The requirements of Rubin's note on external code, one by one, under their numbers."""

from __future__ import annotations

import ast
import csv
import io
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sep
from astropy.io import fits
from astropy.table import Table
from lsst.pipe.base import PipelineTask

from examples.images import ImageRepository
from examples.images.pixels import render
from examples.programs import SEP, SOURCES
from external_code.storage import KeptFile
from external_code.task import WrapperTask
from tests.plugins.task_fixtures import BY_DETECTOR, FIRST_VISIT, IMAGE, TaskRunner

FLAT = {
    "dataset_type": "flat",
    "storage_class": "KeptFits",
    "dimensions": ["instrument", "detector", "physical_filter"],
    "calibration": True,
}


def shell(script: str, **settings: Any) -> dict[str, Any]:
    """Return the description of a task that runs a script on an image."""
    return {
        "executable": "sh",
        "dimensions": list(BY_DETECTOR),
        "arguments": ["-c", script, "sh", "{inputs.image}"],
        "inputs": {"image": IMAGE},
        **settings,
    }


def text_output(name: str, file: str = "output.txt") -> dict[str, Any]:
    return {"dataset_type": name, "storage_class": "KeptText", "file": file}


@pytest.fixture(scope="module")
def sources(tasks: TaskRunner) -> str:
    """Return the RUN of the two-step example over one visit."""
    done = tasks.run(tasks.write_described(SOURCES))
    assert done.counts == {("sources", "success"): 2, ("levels", "success"): 2}
    return done.run


def image_file(tasks: TaskRunner, run: str = "LSSTCam/runs/images", detector: int = 93) -> Path:
    kept = tasks.get(run, "visit_image", detector=detector)
    assert isinstance(kept, KeptFile)
    return kept.path


def test_wpt_001_the_wrapper_is_a_subclass_of_pipeline_task() -> None:
    assert issubclass(WrapperTask, PipelineTask)
    assert WrapperTask.__mro__[1] is PipelineTask


def test_wpt_002_an_executable_runs_as_a_subprocess_under_a_quantum_graph(tasks: TaskRunner) -> None:
    done = tasks.run({"pid": shell("echo $PPID; exit 0")})
    assert {one.status for one in done.outcomes} == {"success"}
    assert len(done.outcomes) == 2
    record = tasks.get(done.run, "pid_record")
    assert int(record["stdout"]) == os.getpid()
    assert record["argv"][1:3] == ["-c", "echo $PPID; exit 0"]
    assert record["executable"] == record["argv"][0]


def test_wpt_003_several_wrappers_in_one_pipeline_do_not_disturb_each_other(tasks: TaskRunner) -> None:
    script = 'pwd; ls; echo "$1" > output.txt; echo {0} >> output.txt'
    described = {
        name: shell(script.replace("{0}", name), outputs={"text": text_output(f"three_{name}")})
        for name in ("a", "b")
    }
    described["c"] = {
        "executable": "sh",
        "dimensions": list(BY_DETECTOR),
        "arguments": ["-c", "cat {inputs.a} {inputs.b} > output.txt"],
        "inputs": {
            name: {"dataset_type": f"three_{name}", "storage_class": "KeptText"} for name in ("a", "b")
        },
        "outputs": {"text": text_output("three_c")},
    }
    done = tasks.run(described)
    assert set(done.counts.items()) == {((name, "success"), 2) for name in "abc"}
    folders = {tasks.get(done.run, f"{name}_record", detector=d)["stdout"] for name in "ab" for d in (93, 94)}
    # Each had an empty folder of its own: pwd is all that was printed.
    assert len(folders) == 4
    assert all(len(one.splitlines()) == 1 for one in folders)
    words = tasks.get(done.run, "three_c").read().decode().split()
    assert words[1::2] == ["a", "b"]


def test_wpt_004_one_quantum_is_one_execution(tasks: TaskRunner, tmp_path: Path) -> None:
    log = tmp_path / "executions"
    done = tasks.run({"once": shell(f"echo {{id.detector}} >> {log}")}, where="visit > 0")
    assert len(done.outcomes) == 12
    assert sorted(log.read_text().split()) == ["93"] * 6 + ["94"] * 6


def test_wpt_005_all_inputs_follow_from_one_data_id_and_each_is_one_dataset(
    tasks: TaskRunner, image_repository: ImageRepository
) -> None:
    described = shell("echo {id.visit} {id.detector} {id.physical_filter}; cat $2 > output.fits")
    described["arguments"] += ["{inputs.flat}"]
    described["inputs"] |= {"flat": FLAT}
    described["outputs"] = {
        "flat": {"dataset_type": "used_flat", "storage_class": "KeptFits", "file": "output.fits"}
    }
    done = tasks.run({"five": described}, where="detector = 94")
    assert done.counts == {("five", "success"): 6}
    for pointing in image_repository.survey.pointings():
        data_id = {"visit": pointing.id, "detector": 94}
        said = tasks.get(done.run, "five_record", **data_id)["stdout"].split()
        assert said == [str(pointing.id), "94", pointing.physical_filter]
        # By validity range: new flats from the second night on.
        flat = fits.getdata(tasks.get(done.run, "used_flat", **data_id).path)
        assert float(flat.mean()) == (1.0 if pointing.day_obs == 20260301 else 2.0)


def test_wpt_101_a_dataset_of_one_file_is_given_as_that_file(tasks: TaskRunner) -> None:
    done = tasks.run({"one": shell('cat "$1" > output.fits; echo "$1"')})
    said = tasks.get(done.run, "one_record")["stdout"].strip()
    assert said == str(image_file(tasks))


def test_wpt_102_several_inputs_are_given_together(tasks: TaskRunner) -> None:
    """The first requirement of that number ends after "as long as those inputs" (docs/external-code.md)."""
    described = shell('cmp "$1" "$2" || wc -c < "$2"')
    described["arguments"] += ["{inputs.flat}"]
    described["inputs"] |= {"flat": FLAT}
    done = tasks.run({"several": described})
    assert done.counts == {("several", "success"): 2}
    record = tasks.get(done.run, "several_record")
    assert set(record["inputs"]) == {"image", "flat"}


def test_wpt_102_nothing_is_assumed_of_folders_of_several_inputs(tasks: TaskRunner) -> None:
    described = shell("dirname {inputs.image} {inputs.flat}")
    described["inputs"] = {
        name: {**one, "access": "copy"} for name, one in (("image", IMAGE), ("flat", FLAT))
    }
    done = tasks.run({"folders": described})
    assert done.failed == ()
    folders = tasks.get(done.run, "folders_record")["stdout"].split()
    assert len(set(folders)) == 2
    assert not any(Path(one).exists() for one in folders)


def test_an_input_is_given_in_place_as_a_copy_or_by_uri(tasks: TaskRunner) -> None:
    described = {
        access: shell('echo "$1"', inputs={"image": {**IMAGE, "access": access}})
        for access in ("auto", "in_place", "copy", "uri")
    }
    done = tasks.run({f"by_{name}": one for name, one in described.items()})
    given = {name: tasks.get(done.run, f"by_{name}_record")["stdout"].strip() for name in described}
    place = str(image_file(tasks))
    copied = given.pop("copy")
    assert given == {"auto": place, "in_place": place, "uri": f"file://{place}"}
    assert copied != place
    assert Path(copied).name == Path(place).name


def test_one_hdu_is_written_plain_for_programs_that_read_nothing_else(tasks: TaskRunner) -> None:
    described = shell('cp "$1" output.fits')
    described["inputs"] = {"image": {**IMAGE, "hdu": "VARIANCE"}}
    described["outputs"] = {
        "plane": {"dataset_type": "variance_plane", "storage_class": "KeptFits", "file": "output.fits"}
    }
    done = tasks.run({"plane": described})
    with (
        fits.open(tasks.get(done.run, "variance_plane").path) as one,
        fits.open(image_file(tasks)) as all_planes,
    ):
        assert len(one) == 1
        assert np.array_equal(one[0].data, all_planes["VARIANCE"].data)
        assert one[0].header["CRVAL1"] == all_planes["VARIANCE"].header["CRVAL1"]
        assert "XTENSION" not in one[0].header


def test_an_hdu_that_is_not_there_is_named_with_those_that_are(tasks: TaskRunner) -> None:
    described = shell("true")
    described["inputs"] = {"image": {**IMAGE, "hdu": "SCI"}}
    (first, *_) = tasks.run({"no_hdu": described}).failed
    assert "has no HDU SCI; it has 0 PRIMARY, 1 IMAGE, 2 MASK, 3 VARIANCE" in str(first.problem)


def test_output_to_the_console_alone_is_in_the_record(tasks: TaskRunner) -> None:
    done = tasks.run({"console": shell("echo out; echo err >&2")})
    record = tasks.get(done.run, "console_record")
    assert (record["stdout"], record["stderr"]) == ("out\n", "err\n")
    assert record["files"] == []


def test_files_stay_in_a_folder_for_each_data_id(tasks: TaskRunner, tmp_path: Path) -> None:
    described = shell("echo {id.visit}-{id.detector} > output.txt; mkdir deep; echo > deep/more.txt")
    described["directory"] = str(tmp_path)
    done = tasks.run({"kept": described}, where="day_obs = 20260301")
    folders = list((tmp_path / done.run / "kept").iterdir())
    assert {one.name: (one / "output.txt").read_text().strip() for one in folders} == {
        f"detector={d}_instrument=LSSTCam_visit={v}": f"{v}-{d}"
        for v in (FIRST_VISIT, FIRST_VISIT + 1)
        for d in (93, 94)
    }
    names = [one["name"] for one in tasks.get(done.run, "kept_record")["files"]]
    assert names == ["deep/more.txt", "output.txt"]


def test_a_put_catalogue_equals_that_of_a_direct_run(tasks: TaskRunner, sources: str, tmp_path: Path) -> None:
    plain = tmp_path / "image.fits"
    with fits.open(image_file(tasks)) as hdus:
        fits.PrimaryHDU(hdus["IMAGE"].data, hdus["IMAGE"].header).writeto(plain)
    folder = SOURCES.parent
    subprocess.run(
        [
            *("source-extractor", plain, "-c", folder / "sources.sex"),
            *("-PARAMETERS_NAME", folder / "sources.param", "-CATALOG_NAME", "direct.fits"),
        ],
        cwd=tmp_path,
        check=True,
    )
    direct = Table.read(tmp_path / "direct.fits")
    wrapped = tasks.get(sources, "sources")
    assert len(direct) > 20
    assert wrapped.colnames == direct.colnames
    assert all(np.array_equal(wrapped[name], direct[name]) for name in direct.colnames)


def test_the_catalogue_has_the_stars_that_were_put_into_the_image(
    tasks: TaskRunner, sources: str, image_repository: ImageRepository
) -> None:
    pointing = next(iter(image_repository.survey.pointings()))
    chip = image_repository.survey.chips()[0]
    truth = render(pointing, chip, "g", image_repository.survey.stars).truth
    found = tasks.get(sources, "sources")
    alone = [
        (x, y, flux)
        for _, x, y, flux in truth
        if 10 < x < 194
        and 10 < y < 190
        and all(np.hypot(x - u, y - v) > 16 for _, u, v, _ in truth if (u, v) != (x, y))
    ]
    assert len(alone) > 5
    for x, y, flux in alone:
        near = np.hypot(found["X_IMAGE"] - 1 - x, found["Y_IMAGE"] - 1 - y)
        one = found[int(np.argmin(near))]
        assert near.min() < 0.5
        error = float(np.ravel(one["FLUXERR_APER"])[0])
        # The aperture has a diameter of 14 pixels: all of the star's light.
        assert abs(float(np.ravel(one["FLUX_APER"])[0]) - flux) < 6 * error + 0.01 * flux


def test_passed_through_and_ingested_files_are_datasets(tasks: TaskRunner, sources: str) -> None:
    background = tasks.get(sources, "background")
    level = tasks.get(sources, "background_level")
    with fits.open(background.path) as hdus:
        assert level["mean"] == pytest.approx(float(hdus[0].data.astype(np.float64).mean()))
    assert level["title"] == f"visit {FIRST_VISIT} in g"
    record = tasks.get(sources, "levels_record")
    assert record["outputs"]["level"]["by"] == "ingest"
    # Files are moved, not copied: the datastore has them at its own path.
    assert sources in str(background.path)


def test_a_python_program_with_sep_finds_what_sep_finds(tasks: TaskRunner) -> None:
    done = tasks.run(tasks.write_described(SEP))
    assert done.counts == {("sep_sources", "success"): 2}
    rows = list(csv.DictReader(io.StringIO(tasks.get(done.run, "sep_sources").read().decode())))
    data = fits.getdata(image_file(tasks), extname="IMAGE").astype(np.float32)
    background = sep.Background(data)
    expected = sep.extract(data - background, 5.0, err=background.globalrms)
    assert [ast.literal_eval(row["npix"]) for row in rows] == [int(one["npix"]) for one in expected]


def test_the_environment_is_what_the_configuration_adds(tasks: TaskRunner) -> None:
    described = shell('echo "$WHICH $HOME"', environment={"WHICH": "visit {id.visit}"})
    done = tasks.run({"environment": described})
    assert (
        tasks.get(done.run, "environment_record")["stdout"] == f"visit {FIRST_VISIT} {os.environ['HOME']}\n"
    )
