"""Rows of the DataLink tables: services, and the columns that they take values of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tap_schema.finding import Finding
from tap_schema.published_table import PublishedTable
from tap_schema.rows import ParameterRow, ServiceRow
from tapdb.service_descriptions import ParameterDescription, ServiceDescription

__all__ = ["service_rows"]

_STEP = 10


def service_rows(
    tables: Sequence[PublishedTable], services: Iterable[ServiceDescription]
) -> tuple[tuple[ServiceRow, ...], tuple[ParameterRow, ...], list[Finding]]:
    """Return the rows of all services whose table is published, and services that need what is not there."""
    by_name = {table.name: table for table in tables}
    rows: list[ServiceRow] = []
    parameters: list[ParameterRow] = []
    findings: list[Finding] = []
    for service in services:
        table = by_name.get((service.schema.lower(), service.table.lower()))
        if table is None:
            findings.append(
                _problem(
                    service,
                    "",
                    f"its table {service.schema}.{service.table} is not published",
                    "publish the table",
                )
            )
            continue
        missing = [one for one in service.parameters if one.column and not table.published_column(one.column)]
        findings += (
            _problem(
                service,
                table.table_name,
                f"parameter {one.name} needs column {one.column}, which is not published",
                "name a column that is, or leave out the service",
                one,
            )
            for one in missing
        )
        if missing:
            continue
        rows.append(
            ServiceRow(
                service.id,
                table.table_name,
                service.access_url,
                service.standard_id,
                service.resource_identifier,
                service.content_type,
                service.description,
            )
        )
        parameters += (
            _parameter(service, one, table, _STEP * position)
            for position, one in enumerate(service.parameters, start=1)
        )
    return tuple(rows), tuple(parameters), findings


def _parameter(
    service: ServiceDescription,
    one: ParameterDescription,
    table: PublishedTable,
    index: int,
) -> ParameterRow:
    return ParameterRow(
        service.id,
        one.name,
        table.table_name if one.column else None,
        table.published_column(one.column),
        one.value,
        one.datatype,
        one.arraysize,
        one.xtype,
        one.unit,
        one.ucd,
        one.description,
        index,
    )


def _problem(
    service: ServiceDescription,
    table: str,
    problem: str,
    remedy: str,
    parameter: ParameterDescription | None = None,
) -> Finding:
    place = parameter.place if parameter is not None else service.place
    return Finding("error", "datalink", table, "", f"service {service.id}: {problem}", remedy, place)
