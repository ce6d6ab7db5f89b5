"""/v1/programs and their API keys."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from attribution.adapters.objects import Objects
from attribution.adapters.postgres import Row
from attribution.adapters.programs import Programs
from attribution.domain.ids import ProgramId
from attribution.domain.programs import DEFAULT_CLICK_ID_PARAM
from attribution.errors import FieldError, InvalidInputError

from .auth import Access, AccessOf, Directory, new_api_key
from .fields import Amount, Currency, Line, MoneyText, Name, ParamName, ProgramKey, Strict, Timezone, dump
from .problems import documented
from .resources import ON_READ, ON_WRITE, UNSET, Answer, Changes, ListQuery, New, Page, known_id, merged
from .route import V1Route
from .services import Services

Secret = Annotated[str, Field(min_length=1, max_length=255)]
GrossMargin = Annotated[Amount, Field(le=1)]
_LINK_PARAMS = {"click_id_param", "visitor_id_param"}


class WebhookSecrets(Strict):
    """By the shop that signs with them. Write-only: no answer shows them; null takes one away."""

    shopify: Secret | None = None


class ProgramChanges(Strict):
    """A programme's key and currency never change: shops know the one, amounts are in the other."""

    external_id: Line | None = None
    name: Name = UNSET
    timezone: Timezone = UNSET
    click_id_param: ParamName = UNSET
    visitor_id_param: ParamName | None = None
    gross_margin: GrossMargin = UNSET
    deduct_included_tax: bool = UNSET
    webhook_secrets: WebhookSecrets = UNSET

    model_config = Changes.model_config


class NewProgram(ProgramChanges):
    model_config = New.model_config

    key: ProgramKey
    name: Name
    currency: Currency
    timezone: Timezone = "UTC"
    click_id_param: ParamName = DEFAULT_CLICK_ID_PARAM
    gross_margin: GrossMargin = Decimal(1)
    deduct_included_tax: bool = False
    webhook_secrets: WebhookSecrets = WebhookSecrets()

    def columns(self, secrets: Mapping[str, str]) -> dict[str, Any]:
        """`secrets`: those known so far."""
        if (self.visitor_id_param or "").casefold() == self.click_id_param.casefold():
            raise InvalidInputError(FieldError(("body", "visitor_id_param"), "is the click_id_param too"))
        stated = {**secrets, **dump(self.webhook_secrets, exclude_unset=True)}
        return dump(self) | {"webhook_secrets": {name: secret for name, secret in stated.items() if secret}}


class ProgramAnswer(Answer):
    key: str
    name: str
    currency: str
    timezone: str
    click_id_param: str
    visitor_id_param: str | None
    gross_margin: MoneyText
    deduct_included_tax: bool


class NewApiKey(BaseModel):
    api_key: str
    """Shown this once."""


class CreatedProgram(ProgramAnswer, NewApiKey):
    pass


def _scope(access: Access) -> ProgramId | None:
    return access.own.program_id if access.own else None


def _merge(row: Row, changes: ProgramChanges) -> dict[str, Any]:
    current = ProgramAnswer.model_validate(dict(row))
    kept = current.model_dump(include=set(NewProgram.model_fields))
    return merged(NewProgram, kept, changes).columns(row["webhook_secrets"])


def programs_router(services: Services, programs: Programs, directory: Directory) -> APIRouter:
    objects = Objects(services.database, "programs")
    router = APIRouter(prefix="/v1/programs", tags=["programs"], route_class=V1Route)

    @router.post(
        "",
        status_code=201,
        response_model=CreatedProgram,
        summary="Create a programme",
        responses=ON_WRITE | documented(403),
    )
    async def create(body: NewProgram, access: AccessOf) -> object:
        access.require_admin()
        api_key, key_hash = new_api_key()
        row = await objects.create(None, body.columns({}) | {"key_hash": key_hash.hex()})
        return {**row, "api_key": api_key}

    @router.get("", response_model=Page[ProgramAnswer], summary="List programmes", responses=ON_READ)
    async def list_(access: AccessOf, query: Annotated[ListQuery, Depends()]) -> object:
        rows = await query.rows(objects, _scope(access))
        return query.page([ProgramAnswer.model_validate(dict(row)) for row in rows])

    @router.get("/{id}", response_model=ProgramAnswer, summary="Read a programme", responses=ON_READ)
    async def read(id: str, access: AccessOf) -> object:  # noqa: A002
        return dict(await objects.read(_scope(access), known_id(id)))

    @router.patch("/{id}", response_model=ProgramAnswer, summary="Change a programme", responses=ON_WRITE)
    async def change(id: str, body: ProgramChanges, access: AccessOf) -> object:  # noqa: A002
        row = await objects.change(_scope(access), known_id(id), lambda row: _merge(row, body))
        directory.expire()
        if _LINK_PARAMS & body.model_fields_set:
            await services.links.publish_program(row["id"])
        return dict(row)

    @router.post(
        "/{id}/api-keys",
        status_code=201,
        response_model=NewApiKey,
        summary="Make a further API key of a programme",
        responses=ON_READ,
    )
    async def create_api_key(id: str, access: AccessOf) -> object:  # noqa: A002
        row = await objects.read(_scope(access), known_id(id))
        api_key, key_hash = new_api_key()
        await programs.add_api_key(row["id"], key_hash)
        return {"api_key": api_key}

    return router
