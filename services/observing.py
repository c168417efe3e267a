"""What an operator sees of the service: a line of the log for each request, and figures for Prometheus."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from services.settings import ServiceSettings

REQUESTS = logging.getLogger("tapdb.request")
GROUP = "tapdb.figures"
"""Entry points of functions that yield figures of a database."""

Figure = tuple[str, str, Mapping[str, str], float]
"""Name, meaning, labels and value of a figure."""
ReadFigures = Callable[[sa.Connection], Iterable[Figure]]
"""Yields the figures of a database, on a connection of the service's role."""

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0)


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON, with the facts that stand in its ``facts``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """Writes a record as one line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts: Mapping[str, Any] = getattr(record, "facts", {})
        words = (f"{name}={json.dumps(value, default=str)}" for name, value in facts.items())
        line = " ".join((f"{record.levelname} {record.name}: {record.getMessage()}", *words))
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def log_config(settings: ServiceSettings, level: str) -> dict[str, Any]:
    """Return how all loggers of a process write, as `logging.config.dictConfig` takes it.

    Parameters
    ----------
    settings
        The form of the lines.
    level
        Least severe message; each request is one of level info.
    """
    formatter = JsonLines if settings.log_form == "json" else TextLines
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": f"{formatter.__module__}.{formatter.__qualname__}"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {name: {"handlers": [], "propagate": True} for name in ("uvicorn", "uvicorn.error")},
    }


def load_figures() -> tuple[ReadFigures, ...]:
    """Return what packages tell of a database, in order of name."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return tuple(entry.load() for entry in found)


def text_of_figures(figures: Iterable[Figure]) -> bytes:
    """Return figures of a database as Prometheus reads them."""
    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for name, meaning, labels, value in figures:
        if name not in gauges:
            gauges[name] = Gauge(name, meaning, tuple(labels), registry=registry)
        gauges[name].labels(**labels).set(value)
    return generate_latest(registry)


class Metrics:
    """Figures of this process; of several processes, those of all."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "tapdb_requests",
            "Requests that were answered.",
            ("resource", "method", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "tapdb_request_seconds",
            "Time from a request to the end of its answer.",
            ("resource",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.rows = Counter("tapdb_rows", "Rows that were sent.", registry=registry)
        self.bytes = Counter("tapdb_bytes", "Bytes of results that were sent.", registry=registry)
        self.running = self._gauge("tapdb_queries_running", "Queries that run.")
        self.waiting = self._gauge("tapdb_queries_waiting", "Queries that wait for their turn.")
        self.connections = self._gauge("tapdb_connections", "Connections to the database that are in use.")

    def text(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        if not os.environ.get(_FOLDER):
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self._registry, multiprocess_mode="livesum")
