"""``/datalink/links``: what belongs to identifiers, by one statement for all of them (DataLink 1.1)."""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import parse_qs, unquote, urlencode, urlsplit
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.datalink.document import LINKS_TYPE, GivenLink, links_capabilities, links_document
from services.errors import ParameterError
from services.files import Files
from services.gate import FACTS
from services.identity import User
from services.parameters import Parameters, read_parameters
from services.results import read_in_turn
from services.service import service_of
from tapdb.hooks.descriptions import Link, LinkProvider, read_links

_XML = "text/xml; charset=utf-8"
_BEARER = "ivo://ivoa.net/sso#OAuth"
_FILES = "/files/"
_MOST_IDENTIFIERS = 1000
_LONGEST_LOGGED = 2000
# All of them are the one document that there is (DataLink 1.1 section 2.2.2, DALI 1.1 section 3.4.3).
_FORMS = (
    "votable",
    "application/x-votable+xml",
    LINKS_TYPE,
    "application/x-votable+xml;serialization=tabledata",
    "text/xml",
    "application/xml",
)


class Links:
    """Answers ``/links``: an ASGI application, for it has to know of a client that hangs up.

    Parameters
    ----------
    providers
        What makes links, by name of the package.
    files
        Signs links to files.
    """

    def __init__(self, providers: Mapping[str, LinkProvider], files: Files) -> None:
        self._providers = tuple(providers.values())
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        service, facts = service_of(request), scope[FACTS]
        facts["resource"] = "links"
        user = service.authenticator.user(request)
        facts["user"] = user.name
        async with read_parameters(request, max_bytes=service.settings.upload_bytes) as parameters:
            dids = identifiers_of(parameters)
            facts |= {"query": " ".join(dids)[:_LONGEST_LOGGED], "identifiers": len(dids)}
            given = await self.read(request, user, dids)
        facts["rows"] = len(given)
        services = [one for provider in self._providers for one in provider.services]
        document = links_document(given, services, service.base_url(request))
        await Response(document, media_type=LINKS_TYPE)(scope, receive, send)

    async def read(self, request: Request, user: User, dids: Sequence[str]) -> Sequence[GivenLink]:
        """Return links of identifiers as a user gets them, when the user has a turn.

        Parameters
        ----------
        request
            The request, which has been read.
        user
            Who sends it.
        dids
            Identifiers.

        Raises
        ------
        QueryFailedError
            Raised if the links take longer than the user's queries may.
        """
        service = service_of(request)
        links = await read_in_turn(request, user, lambda one: read_links(one, dids, self._providers))
        is_open = service.settings.auth == "none"
        return list(self._given(links, service.base_url(request), is_open=is_open))

    def _given(self, links: Sequence[Link], base_url: str, *, is_open: bool) -> Iterator[GivenLink]:
        """Yield links as the user gets them: files are signed, paths are below the service."""
        for link in links:
            url = link.access_url
            if url is None:
                authorized = None if link.service_def is None else True
                yield GivenLink(link, None if link.service_def is None or is_open else "true", authorized)
            elif url.startswith(_FILES):
                yield from self._file(link, url, base_url)
            elif url.startswith("/"):
                whole = link._replace(access_url=base_url + url)
                yield GivenLink(whole, "false" if is_open else "true", authorized=True)
            else:
                yield GivenLink(link)

    def _file(self, link: Link, url: str, base_url: str) -> Iterator[GivenLink]:
        """Yield the link to a file, if the service has files of its repository."""
        parts = urlsplit(url)
        repository, _, dataset = parts.path.removeprefix(_FILES).rpartition("/")
        given = parse_qs(parts.query)
        component = next(iter(given.get("component", ())), None)
        if "embargoed" in given and unquote(repository) in self._files.datastores:
            # Nobody else can use this link: it is not signed, and its user has to log in.
            query = "" if component is None else f"?{urlencode({'component': component})}"
            whole = f"{base_url}{_FILES}{dataset}{query}"
            yield GivenLink(link._replace(access_url=whole), "true", authorized=True)
            return
        signed = self._files.link(base_url, unquote(repository), UUID(dataset), component)
        if signed is not None:
            yield GivenLink(link._replace(access_url=signed), "false", authorized=True)
        elif link.semantics == "#this":
            problem = f'FatalFault: the service has no files of the repository "{unquote(repository)}"'
            yield GivenLink(link._replace(access_url=None, error_message=problem))


def identifiers_of(parameters: Parameters) -> Sequence[str]:
    """Return the identifiers that a request has, each once.

    Parameters
    ----------
    parameters
        Parameters of the request. MAXREC and others are ignored (DataLink 1.1 section 2.2).

    Raises
    ------
    ParameterError
        Raised if there are too many, or another format is wanted than there is.
    """
    form = parameters.one("RESPONSEFORMAT")
    if form is not None and form.replace(" ", "").replace('"', "").lower() not in _FORMS:
        raise ParameterError(
            "RESPONSEFORMAT", "is another format than links have", f"give {LINKS_TYPE} or none"
        )
    found = tuple(dict.fromkeys(one.strip() for one in parameters.every("ID")))
    if len(found) > _MOST_IDENTIFIERS:
        raise ParameterError(
            "ID", f"is there {len(found)} times", f"give at most {_MOST_IDENTIFIERS} at once"
        )
    return found


async def capabilities(request: Request) -> Response:
    """Return what the service can do, to everybody."""
    service = service_of(request)
    request.scope[FACTS]["resource"] = "capabilities"
    challenges = service.authenticator.challenges
    document = links_capabilities(f"{service.base_url(request)}/datalink", (_BEARER,) if challenges else ())
    response = Response(document, media_type=_XML)
    for challenge in challenges:
        response.headers.append("WWW-Authenticate", challenge)
    return response
