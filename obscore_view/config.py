"""The ObsCore configuration: which dataset types and collections are published, and what their columns say.

It is the YAML text that daf_butler's live ObsCore table and dax_obscore's exporter read, every option of it,
with one section ``tapdb`` added. Unknown keys are errors here; Butler passes over them.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import ValidationError

from obscore_view.config_checks import find_problems, find_warnings
from obscore_view.config_model import CollectionRule, CollectionType, ObsCoreConfig
from obscore_view.config_problems import explain
from obscore_view.config_sections import (
    ColumnTemplate,
    DataOrigin,
    DatasetTypeConfig,
    ExtraColumnConfig,
    ExtraColumnType,
    SpatialPluginConfig,
    TapdbOptions,
    WhereBind,
)
from obscore_view.errors import ConfigError, ConfigProblem
from obscore_view.yaml_text import read_yaml

__all__ = [
    "CollectionRule",
    "CollectionType",
    "ColumnTemplate",
    "DataOrigin",
    "DatasetTypeConfig",
    "ExtraColumnConfig",
    "ExtraColumnType",
    "ObsCoreConfig",
    "SpatialPluginConfig",
    "TapdbOptions",
    "WhereBind",
    "parse_config",
    "read_config",
]

_LOG = logging.getLogger(__name__)


def read_config(path: Path | str) -> ObsCoreConfig:
    """Return the configuration in a YAML file.

    Raises
    ------
    ConfigError
        Raised if there is no such file, or if `parse_config` refuses what is in it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        problem = ConfigProblem(
            f"cannot be read: {reason}", "name an ObsCore configuration", source=str(path)
        )
        raise ConfigError([problem]) from error
    return parse_config(text, source=str(path))


def parse_config(text: str, *, source: str = "configuration") -> ObsCoreConfig:
    """Return the configuration in a YAML (or JSON) text; doubtful parts of it go to the log as warnings.

    Parameters
    ----------
    text
        The text.
    source
        Name of the text for messages, such as a file's.

    Raises
    ------
    ConfigError
        Raised with all that is wrong in the text, each with its line and column and what to do.
    """
    yaml = read_yaml(text, source=source)
    try:
        config = ObsCoreConfig.model_validate(yaml.content)
    except ValidationError as error:
        raise ConfigError([yaml.problem(*finding) for finding in explain(error, ObsCoreConfig)]) from error
    if problems := [yaml.problem(*finding) for finding in find_problems(config)]:
        raise ConfigError(problems)
    for finding in find_warnings(config):
        _LOG.warning("%s", yaml.problem(*finding))
    return config
