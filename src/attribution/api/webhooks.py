"""/v1/webhooks: shops' own messages, proved by their signature over the raw bytes."""

import hmac
from base64 import b64encode
from hashlib import sha256
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from attribution.conversions.shopify import shopify_messages
from attribution.domain.conversions import Acceptance
from attribution.domain.programs import DEFAULT_PROGRAM_KEY, Program
from attribution.domain.refunds import RefundMessage

from .auth import Directory
from .json_body import LimitedRequest, parse_json
from .problems import documented
from .services import Services

SHOPIFY = "shopify"
"""The name of the secret in `webhook_secrets`."""


class Received(BaseModel):
    status: Acceptance | Literal["ignored"]
    """`ignored`: a topic or an order that concerns no one here, such as a test order."""
    order_id: str | None = None
    refund_id: str | None = None


def signature(secret: str, raw: bytes) -> str:
    return b64encode(hmac.new(secret.encode(), raw, sha256).digest()).decode()


class _Verifier:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def program(self, key: str, raw: bytes, signed: str | None) -> Program:
        """One answer for an unknown programme, one without a secret and a wrong signature."""
        known = await self._directory.by_key.get(key)
        secret = known.webhook_secrets.get(SHOPIFY) if known else None
        if known is None or not secret or not _same(signature(secret, raw), signed or ""):
            raise HTTPException(401, "the signature is not that of the programme's secret")
        return known.program


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())


def webhooks_router(services: Services, directory: Directory) -> APIRouter:
    verifier = _Verifier(directory)
    router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=APIRoute)

    @router.post(
        "/shopify",
        response_model=Received,
        response_model_exclude_unset=True,
        summary="Receive an order or a refund from Shopify",
        responses=documented(400, 401, 413, 422, 503),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}}},
                "description": "Shopify's order or refund, as signed",
            }
        },
    )
    async def receive(
        request: Request,
        program_key: Annotated[str, Query(alias="program", max_length=64)] = DEFAULT_PROGRAM_KEY,
        topic: Annotated[str, Header(alias="X-Shopify-Topic")] = "",
        signed: Annotated[str | None, Header(alias="X-Shopify-Hmac-Sha256")] = None,
    ) -> object:
        raw = await LimitedRequest(request.scope, request.receive).body()
        program = await verifier.program(program_key, raw, signed)
        messages = shopify_messages(
            topic, parse_json(raw), program.click_id_param, deduct_included_tax=program.deduct_included_tax
        )
        if not messages:
            return Received(status="ignored")
        status, *_ = await services.orders.accept(program, messages)
        first = messages[0]
        if isinstance(first, RefundMessage):
            return Received(status=status, order_id=first.external_id, refund_id=first.refund_id)
        return Received(status=status, order_id=first.external_id)

    return router
