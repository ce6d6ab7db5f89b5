"""/v1/fx-rates: what one unit of a currency was in another, by the day."""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from attribution.adapters.fx_rate_table import FxRateTable
from attribution.errors import FieldError, InvalidInputError

from .auth import Access, AccessOf, ProgramKeyInQuery, ProgramOf
from .bulk import ONE_BY_ONE, listed, one_by_one, parsed
from .fields import Amount, Currency, Day, MoneyText, ProgramKey, Strict, dump
from .recorded import FACTS_MAX, RecordedList, record_each
from .resources import ON_READ, ON_WRITE, Listed, Page, PageQuery, known_id
from .route import V1Route
from .services import Services

_RATE_MAX = Decimal(10) ** 9
"""A hundred times what the dearest currency is in the cheapest; the other way round its inverse."""
Rate = Annotated[Amount, Field(ge=1 / _RATE_MAX, le=_RATE_MAX, examples=["1.0845"])]


class NewFxRate(Strict):
    """One `base` is `rate` `quote`."""

    program: ProgramKey | None = None
    date: Day
    base: Currency
    quote: Currency
    rate: Rate

    def columns(self) -> dict[str, Any]:
        if self.base == self.quote:
            raise InvalidInputError(FieldError(("body", "quote"), "is the base: a currency needs no rate to itself"))
        return dump(self, exclude={"program"}) | {"rate": f"{self.rate:f}"}


class FxRate(Listed):
    date: Day
    base: str
    quote: str
    rate: MoneyText
    created_at: datetime


async def _read(item: object) -> dict[str, Any]:
    return parsed(NewFxRate, item).columns()


def fx_rates_router(services: Services) -> APIRouter:
    rates = FxRateTable(services.database)
    router = APIRouter(prefix="/v1/fx-rates", tags=["fx-rates"], route_class=V1Route)

    async def record_list(access: Access, program_key: str | None, items: list[Any]) -> RecordedList:
        program = await access.program(program_key)
        read = await one_by_one(_read, listed(items, FACTS_MAX))
        return await record_each(read, partial(rates.record, program.program_id))

    @router.post(
        "",
        status_code=201,
        response_model=FxRate | RecordedList,
        summary="Record an exchange rate, or up to 1,000",
        responses=ON_WRITE
        | {200: {"description": "Of a list, or where nothing is new", "model": FxRate | RecordedList}},
    )
    async def record(
        body: Annotated[NewFxRate | Annotated[list[NewFxRate], Field(max_length=FACTS_MAX)], ONE_BY_ONE],
        response: Response,
        access: AccessOf,
        program_key: ProgramKeyInQuery = None,
    ) -> object:
        if isinstance(body, list):
            response.status_code = 200
            return await record_list(access, program_key, body)
        rate = parsed(NewFxRate, body)
        program = await access.program(program_key, rate.program)
        [recorded] = await rates.record(program.program_id, [rate.columns()])
        response.status_code = 201 if recorded.stored else 200
        return dict(await rates.read(program.program_id, recorded.id))

    @router.get("", response_model=Page[FxRate], summary="List fx-rates", responses=ON_READ)
    async def list_(program: ProgramOf, query: Annotated[PageQuery, Depends()]) -> object:
        rows = await rates.list(program.program_id, query.after, query.limit + 1)
        return query.page([FxRate.model_validate(dict(row)) for row in rows])

    @router.get("/{id}", response_model=FxRate, summary="Read an exchange rate", responses=ON_READ)
    async def read(id: str, program: ProgramOf) -> object:  # noqa: A002
        return dict(await rates.read(program.program_id, known_id(id)))

    return router
