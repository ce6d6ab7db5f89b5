"""/v1/conversions: leads, signups and what else a programme counts."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import AfterValidator, BaseModel, Field

from attribution.domain.conversions import (
    DEFAULT_SOURCE,
    PURCHASE,
    Acceptance,
    ConversionMessage,
    ConversionStatus,
)
from attribution.domain.programs import Program

from .accepting import MESSAGES_MAX, Accepting, ClickIdText, CodeTexts, MessageTime, Read, minor
from .attributions import Attribution, Extensible, History, HistoryQuery, SourceInQuery, found, history_of, storable
from .auth import Access, AccessOf, ProgramKeyInQuery, ProgramOf
from .bulk import ONE_BY_ONE, Failed, parsed
from .explanations import ON_EXPLAIN, ExplanationQuery, explained
from .fields import Amount, ConversionType, Currency, Line, ProgramKey, Strict, VisitorId
from .problems import documented
from .resources import ON_READ
from .route import V1Route
from .services import Services


def _no_purchase(conversion_type: str) -> str:
    if conversion_type == PURCHASE:
        raise ValueError("purchases are orders: POST /v1/orders takes them")
    return conversion_type


class NewConversion(Strict):
    """The full state of a conversion at `updated_at`; without `currency` the value is in the programme's."""

    program: ProgramKey | None = None
    source: Line = DEFAULT_SOURCE
    type: Annotated[ConversionType, AfterValidator(_no_purchase)]
    conversion_id: Line
    occurred_at: MessageTime
    updated_at: MessageTime | None = None
    status: Annotated[ConversionStatus, Field(strict=False)] = ConversionStatus.CONFIRMED
    value: Amount | None = None
    currency: Currency | None = None
    discount_codes: CodeTexts = Field(default_factory=list)
    click_id: ClickIdText | None = None
    visitor_id: VisitorId | None = None
    customer_id: Line | None = None

    def message(self, program: Program) -> ConversionMessage:
        """Raises `InvalidInputError` for a value that the currency does not have."""
        currency = self.currency or program.currency
        return ConversionMessage(
            source=self.source,
            type=self.type,
            external_id=self.conversion_id,
            updated_at=self.updated_at or self.occurred_at,
            occurred_at=self.occurred_at,
            status=self.status,
            currency=currency,
            gross_minor=minor(self.value, currency, "value") if self.value else 0,
            click_id=self.click_id,
            visitor_id=self.visitor_id,
            customer_id=self.customer_id,
            discount_codes=tuple(self.discount_codes),
        )


class ConversionAccepted(BaseModel):
    conversion_id: str
    status: Acceptance


class ConversionAcceptedItem(ConversionAccepted):
    index: int


class ConversionsAccepted(BaseModel):
    results: list[ConversionAcceptedItem | Failed]


class ConversionState(Extensible):
    type: str
    conversion_id: str
    source: str
    status: ConversionStatus
    currency: str
    value: str
    net: str
    attribution: Attribution


async def _read(access: Access, program_key: str | None, item: object) -> Read:
    conversion = parsed(NewConversion, item)
    program = await access.program(program_key, conversion.program)
    return program, conversion.message(program)


def _named(conversion: ConversionMessage) -> Mapping[str, str]:
    return {"conversion_id": conversion.external_id}


def conversions_router(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/conversions", tags=["conversions"], route_class=V1Route)
    accepting = Accepting(services.orders, _read, _named)

    @router.post(
        "",
        response_model=ConversionAccepted | ConversionsAccepted,
        summary="Accept a lead, a signup or another conversion, or up to 1,000; a 2xx means durable",
        responses=documented(400, 401, 404, 413, 415, 422, 503),
    )
    async def accept(
        body: Annotated[NewConversion | Annotated[list[NewConversion], Field(max_length=MESSAGES_MAX)], ONE_BY_ONE],
        access: AccessOf,
        program_key: ProgramKeyInQuery = None,
    ) -> object:
        return await accepting.accept(body, access, program_key)

    @router.get(
        "/{type}/{conversion_id:path}/attribution",
        response_model=Attribution,
        summary="Explain the credit of a conversion",
        responses=ON_EXPLAIN,
    )
    async def attribution(
        type: ConversionType,  # noqa: A002
        conversion_id: str,
        program: ProgramOf,
        asked: Annotated[ExplanationQuery, Depends()],
    ) -> object:
        return await explained(services, program, type, storable(conversion_id), asked)

    @router.get(
        "/{type}/{conversion_id:path}/history",
        response_model=History,
        summary="List all that was recorded of the credit of a conversion",
        responses=ON_READ,
    )
    async def history(
        type: ConversionType,  # noqa: A002
        conversion_id: str,
        program: ProgramOf,
        asked: Annotated[HistoryQuery, Depends()],
    ) -> object:
        return await history_of(services, program, type, conversion_id, asked)

    @router.get(
        "/{type}/{conversion_id:path}",
        response_model=ConversionState,
        summary="Read the state of a conversion",
        responses=ON_READ,
    )
    async def read(
        type: ConversionType,  # noqa: A002
        conversion_id: str,
        program: ProgramOf,
        source: SourceInQuery = DEFAULT_SOURCE,
    ) -> object:
        return found(await services.credits.conversion(program, source, type, storable(conversion_id)))

    return router
