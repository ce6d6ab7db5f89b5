"""Who asks, and for which programme: `Authorization: Bearer KEY`."""

from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from secrets import token_urlsafe
from typing import Annotated

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from attribution.adapters.programs import KnownProgram, Programs
from attribution.domain.programs import DEFAULT_PROGRAM_KEY, Program
from attribution.errors import FieldError, InvalidInputError, NotFoundError

from .remembered import FRESH_S, Remembered

_API_KEY_BYTES = 32
_bearer = HTTPBearer(auto_error=False, description="The admin key, or a programme's own")


def new_api_key() -> tuple[str, bytes]:
    """The key, shown once, and the hash of it that is stored."""
    key = token_urlsafe(_API_KEY_BYTES)
    return key, _hash(key)


def _hash(key: str) -> bytes:
    return sha256(key.encode()).digest()


class Directory:
    """Keys and programmes, remembered so that orders are accepted while the database is away."""

    def __init__(self, programs: Programs, fresh_s: float = FRESH_S) -> None:
        self.by_key = Remembered(programs.by_key, fresh_s=fresh_s)
        self.by_api_key = Remembered(programs.by_api_key, fresh_s=fresh_s)

    def expire(self) -> None:
        self.by_key.expire()
        self.by_api_key.expire()


@dataclass(frozen=True, slots=True)
class Access:
    """`own`: the programme that the key speaks for; None: the admin's, for all."""

    directory: Directory
    own: Program | None

    @property
    def is_admin(self) -> bool:
        return self.own is None

    async def program(self, in_query: str | None = None, in_body: str | None = None) -> Program:
        if in_query and in_body and in_query != in_body:
            raise InvalidInputError(FieldError(("body", "program"), "is another one than the query's"))
        key = in_query or in_body
        if self.own is None:
            return (await self._known(key or DEFAULT_PROGRAM_KEY)).program
        if key in (None, self.own.key):
            return self.own
        raise NotFoundError("there is no such programme")

    async def _known(self, key: str) -> KnownProgram:
        known = await self.directory.by_key.get(key)
        if known is None:
            raise NotFoundError("there is no such programme")
        return known

    def require_admin(self) -> None:
        if not self.is_admin:
            raise HTTPException(403, "only the admin key may do this")


class Gate:
    def __init__(self, admin_key: str, directory: Directory) -> None:
        self._admin_hash = _hash(admin_key)
        self._admin = Access(directory, None)
        self._directory = directory

    async def authenticate(self, authorization: str | None) -> Access:
        scheme, _, key = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise HTTPException(401, "the request needs an Authorization header: Bearer KEY")
        key_hash = _hash(key.strip())
        if compare_digest(key_hash, self._admin_hash):
            return self._admin
        known = await self._directory.by_api_key.get(key_hash)
        if known is None:
            raise HTTPException(401, "the key is not valid")
        return Access(self._directory, known.program)


async def _access(request: Request, _: Annotated[object, Security(_bearer)]) -> Access:
    access: Access = request.state.access
    return access


AccessOf = Annotated[Access, Depends(_access)]
ProgramKeyInQuery = Annotated[
    str | None, Query(alias="program", max_length=64, description="A programme's key; `default` where absent")
]


async def _program(access: AccessOf, program_key: ProgramKeyInQuery = None) -> Program:
    return await access.program(program_key)


ProgramOf = Annotated[Program, Depends(_program)]
"""The programme of a request that has no body to name it in."""
