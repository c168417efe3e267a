"""Templates of arguments, environment variables and file names: plain names in braces.

``{inputs.image}`` is the file or URI of an input, ``{outputs.catalog}`` the file that becomes an output,
``{directory}`` the folder that the program runs in, ``{id.visit}`` a value of the data ID. Braces are doubled
to stand for themselves. A template is no expression: there are no formats, no attributes and no defaults.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from external_code.errors import TemplateNameError
from tapdb.errors import likeliest

_PART = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}|[{}]")


def template_names(template: str) -> Iterator[str]:
    """Yield the names that a template has, in their order.

    Raises
    ------
    TemplateNameError
        Raised if a brace stands alone.
    """
    for part in _PART.finditer(template):
        if part["name"] is not None:
            yield part["name"]
        elif len(part[0]) == 1:
            raise TemplateNameError(template, f'"{part[0]}" stands alone; double it to mean the brace itself')


def fill_template(template: str, values: Mapping[str, object]) -> str:
    """Return a template with values in place of names.

    Parameters
    ----------
    template
        The template.
    values
        Values by name, such as ``id.visit``.

    Raises
    ------
    TemplateNameError
        Raised if a name has no value, or a brace stands alone.

    Examples
    --------
    >>> fill_template("{id.visit}-{{x}}.fits", {"id.visit": 7})
    '7-{x}.fits'
    """
    require_names(template, values)
    return _PART.sub(lambda part: part[0][0] if part["name"] is None else str(values[part["name"]]), template)


def require_names(template: str, known: Iterable[str]) -> None:
    """Check that a template names nothing but what is known.

    Raises
    ------
    TemplateNameError
        Raised if it does, or if a brace stands alone.
    """
    names = set(known)
    for name in template_names(template):
        if name not in names:
            raise TemplateNameError(template, f'there is no "{name}"; {likeliest(name, names)}')
