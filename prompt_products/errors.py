"""What is wrong with a request for coverage, or with the database that it is to come from."""

from collections.abc import Sequence

from tapdb.errors import DatabaseNotReadyError, TapdbError

_LONGEST = 100


class PromptProductsError(TapdbError):
    """Base of the errors of `prompt_products`."""


class CoverageNotKeptError(PromptProductsError, DatabaseNotReadyError):
    """Coverage is wanted of a view for which it is not kept.

    Parameters
    ----------
    view
        Name of the view, ``schema.name``; empty if no view of the database has coverage.
    """

    def __init__(self, view: str = "") -> None:
        self.view = view
        what = f'no coverage is kept of the view "{view}"' if view else "no coverage is kept in this database"
        super().__init__(f"{what}; let it be kept: tapdb coverage keep {view or 'SCHEMA.NAME'}")


class CoverageRefusedError(PromptProductsError):
    """Coverage cannot be kept of a view.

    Parameters
    ----------
    view
        Name of the view.
    problem
        What is in the way.
    remedy
        What to do about it.
    """

    exit_code = 2

    def __init__(self, view: str, problem: str, remedy: str) -> None:
        self.view = view
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"coverage of {view}: {problem}; {remedy}")


class CoverageEmptyError(PromptProductsError):
    """There is no coverage of the kind that is wanted."""

    def __init__(self) -> None:
        super().__init__(
            "no coverage of this kind; leave out options, or see what there is: "
            "tapdb query run 'SELECT * FROM ivoa.obscore_summary'"
        )


class PresenceNotKeptError(PromptProductsError, DatabaseNotReadyError):
    """No view says what is stored of its datasets, or not the one that is named.

    Parameters
    ----------
    view
        Name of the view, ``schema.name``; None if none was named.
    known
        Names of the views that say so.
    """

    def __init__(self, view: str | None, known: Sequence[str]) -> None:
        self.view = view
        self.known = tuple(known)
        if known:
            named = f'"{view}" is not one of them' if view else "there are several"
            listed = ", ".join(known)
            super().__init__(f"views that say what is stored: {listed}; {named}: name one, --view")
        else:
            super().__init__(
                "no view says what is stored of its datasets; write presence: {} into section tapdb of its "
                "configuration, and then: tapdb obscore refresh -c CONFIG"
            )


class ProductNotPublishedError(PromptProductsError, DatabaseNotReadyError):
    """A product is wanted that is not published over any ObsCore view.

    Parameters
    ----------
    product
        Name of the product, as in its command.
    """

    def __init__(self, product: str) -> None:
        self.product = product
        super().__init__(
            f"{product} is not published in this database; publish it: tapdb {product} publish SCHEMA.NAME"
        )


class ProductRefusedError(PromptProductsError):
    """A product cannot be published over a view.

    Parameters
    ----------
    product
        Name of the product.
    problem
        What is in the way.
    remedy
        What to do about it.
    """

    exit_code = 2

    def __init__(self, product: str, problem: str, remedy: str) -> None:
        self.product = product
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{product}: {problem}; {remedy}")


class CaomInvalidError(PromptProductsError):
    """What is known of an observation does not make a valid document of CAOM 2.4.

    Parameters
    ----------
    observation
        Identifier of the observation.
    problem
        What the schema has against it.
    """

    def __init__(self, observation: str, problem: str) -> None:
        self.observation = observation
        self.problem = problem
        super().__init__(
            f"observation {observation} is not valid in CAOM 2.4: {problem}; mend what the ObsCore view says "
            "of it, or write it as it is, --no-check"
        )


class CaomEmptyError(PromptProductsError):
    """There is no observation of the kind that is wanted."""

    def __init__(self) -> None:
        super().__init__(
            "no such observation; see what there is: "
            "tapdb query run 'SELECT TOP 10 collection, observationID FROM caom2.Observation'"
        )


class PlanRefusedError(PromptProductsError):
    """A schedule does not hold to ObsLocTAP.

    Parameters
    ----------
    source
        Name of the file.
    number
        Number of the line, or of the object; None for the whole file.
    problem
        What is wrong.
    remedy
        What to do about it.
    """

    exit_code = 2

    def __init__(self, source: str, number: int | None, problem: str, remedy: str) -> None:
        self.source = source
        self.number = number
        where = source if number is None else f"{source}, line {number}"
        super().__init__(f"{where}: {problem}; {remedy}")


class PlanIncompleteError(PromptProductsError):
    """What was performed cannot be told from a registry.

    Parameters
    ----------
    problem
        What is missing.
    remedy
        What to do about it.
    """

    exit_code = 2

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        super().__init__(f"obsplan: {problem}; {remedy}")


class PlanEmptyError(PromptProductsError):
    """There is no such plan, or nothing was planned and performed at all."""

    def __init__(self) -> None:
        super().__init__("nothing is stored of it; load a schedule: tapdb obsplan load FILE")


class LogEmptyError(PromptProductsError):
    """The observing log has no exposures of the night that is wanted.

    Parameters
    ----------
    night
        Observing day; None for the last one.
    """

    def __init__(self, night: int | None) -> None:
        self.night = night
        what = "has no exposures" if night is None else f"has no exposures of {night}"
        nights = "tapdb query run 'SELECT DISTINCT day_obs FROM ivoa.observing_log'"
        super().__init__(f"the observing log {what}; which nights there are: {nights}")


class JournalNotKeptError(PromptProductsError, DatabaseNotReadyError):
    """The journal of a view is wanted, and none is kept.

    Parameters
    ----------
    view
        Name of the view or table, ``schema.name``.
    known
        Names of the views of which a journal is kept.
    """

    def __init__(self, view: str, known: Sequence[str] = ()) -> None:
        self.view = view
        self.known = tuple(known)
        others = f" (it is kept of {', '.join(known)})" if known else ""
        super().__init__(f'no journal is kept of "{view}"{others}; let it be kept: tapdb journal keep {view}')


class JournalRefusedError(PromptProductsError):
    """No journal of a view can be kept.

    Parameters
    ----------
    view
        Name of the view.
    problem
        What is in the way.
    remedy
        What to do about it.
    """

    exit_code = 2

    def __init__(self, view: str, problem: str, remedy: str) -> None:
        self.view = view
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"journal of {view}: {problem}; {remedy}")


class JournalLostError(PromptProductsError):
    """The journal does not reach back to a position: it is too old, or the journal was begun again.

    Parameters
    ----------
    position
        The position.
    view
        Name of the view.
    """

    def __init__(self, position: str, view: str) -> None:
        self.position = position
        self.view = view
        super().__init__(
            f"the journal of {view} does not reach back to position {position}; begin without a position, "
            "and query what has come meanwhile"
        )


class PositionError(PromptProductsError):
    """A text is no position in a journal.

    Parameters
    ----------
    text
        The text.
    """

    exit_code = 2

    def __init__(self, text: str) -> None:
        self.text = text[:_LONGEST]
        super().__init__(f'"{self.text}" is no position in a journal; give one that a watch has printed')


class QueryNotWatchedError(PromptProductsError):
    """A query has a shape whose gained rows are not found without a look at all rows.

    Parameters
    ----------
    shape
        What it has.
    """

    exit_code = 2

    def __init__(self, shape: str) -> None:
        self.shape = shape
        super().__init__(
            f"a query with {shape} is not watched; select columns of one table, with conditions on its row"
        )


class StandbyNotWatchedError(PromptProductsError):
    """A standby is to be watched, whose snapshots do not say which transactions they lack."""

    def __init__(self) -> None:
        super().__init__("a standby is not watched: its snapshots do not tell what is new; watch its primary")
