"""What clients read of jobs: documents of UWS 1.1, in XML."""

from collections.abc import Iterable
from datetime import datetime
from xml.etree.ElementTree import Element, register_namespace, tostring

from tap_query.jobs.job import RESULT, Job, JobParameters, JobResult, Phase, format_time
from tapdb.xml_text import add_element

UWS = "http://www.ivoa.net/xml/UWS/v1.0"
_XLINK = "http://www.w3.org/1999/xlink"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_NIL = {f"{{{_XSI}}}nil": "true"}

for _prefix, _namespace in (("uws", UWS), ("xlink", _XLINK), ("xsi", _XSI)):
    register_namespace(_prefix, _namespace)


def job_document(job: Job, url: str) -> bytes:
    """Return all that clients are told of a job.

    Parameters
    ----------
    job
        The job.
    url
        URL of the job, to which that of its results is added.
    """
    root = Element(_name("job"), {"version": "1.1"})
    add_element(root, _name("jobId"), {}, job.job_id)
    if job.run_id:
        add_element(root, _name("runId"), {}, job.run_id)
    _add_nillable(root, "ownerId", job.owner)
    add_element(root, _name("phase"), {}, job.phase)
    _add_nillable(root, "quote", _time(job.quote))
    add_element(root, _name("creationTime"), {}, format_time(job.created_at))
    _add_nillable(root, "startTime", _time(job.started_at))
    _add_nillable(root, "endTime", _time(job.ended_at))
    add_element(root, _name("executionDuration"), {}, str(job.execution_duration))
    _add_nillable(root, "destruction", format_time(job.destruction))
    _add_parameters(add_element(root, _name("parameters"), {}), job.parameters)
    _add_results(add_element(root, _name("results"), {}), job.result, url)
    if job.phase is Phase.ERROR:
        kind = "transient" if job.error_is_transient else "fatal"
        summary = add_element(root, _name("errorSummary"), {"type": kind, "hasDetail": "true"})
        add_element(summary, _name("message"), {}, job.error or "")
    return _document(root)


def list_document(jobs: Iterable[Job], url: str) -> bytes:
    """Return the list of jobs.

    Parameters
    ----------
    jobs
        Jobs of the user.
    url
        URL of the list, to which the identifiers are added.
    """
    root = Element(_name("jobs"), {"version": "1.1"})
    for job in jobs:
        href = {"id": job.job_id, f"{{{_XLINK}}}href": f"{url}/{job.job_id}"}
        element = add_element(root, _name("jobref"), href)
        add_element(element, _name("phase"), {}, job.phase)
        if job.run_id:
            add_element(element, _name("runId"), {}, job.run_id)
        _add_nillable(element, "ownerId", job.owner)
        add_element(element, _name("creationTime"), {}, format_time(job.created_at))
    return _document(root)


def parameters_document(job: Job) -> bytes:
    """Return the parameters of a job."""
    root = Element(_name("parameters"))
    _add_parameters(root, job.parameters)
    return _document(root)


def results_document(job: Job, url: str) -> bytes:
    """Return the list of the results of a job, whose URL is given."""
    root = Element(_name("results"))
    _add_results(root, job.result, url)
    return _document(root)


def _add_parameters(parent: Element, parameters: JobParameters) -> None:
    for name, value in parameters:
        add_element(parent, _name("parameter"), {"id": name}, value)


def _add_results(parent: Element, result: JobResult | None, url: str) -> None:
    if result is not None:
        href = {"id": RESULT, f"{{{_XLINK}}}href": f"{url}/results/{RESULT}"}
        add_element(parent, _name("result"), href | {"mime-type": result.mime, "size": str(result.size)})


def _add_nillable(parent: Element, name: str, text: str | None) -> None:
    add_element(parent, _name(name), _NIL if text is None else {}, text)


def _time(time: datetime | None) -> str | None:
    return None if time is None else format_time(time)


def _name(tag: str) -> str:
    return f"{{{UWS}}}{tag}"


def _document(root: Element) -> bytes:
    # A parser makes a line feed of a carriage return, but for one that is written as a reference.
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text.replace(b"\r", b"&#13;")
