"""The sandbox's own endpoints: health, rules, the bill, a service account. No key: keep it on loopback."""

from __future__ import annotations

import orjson
from aiohttp import web

from libs.sandbox.bill import Bill
from libs.sandbox.dialect import Refusal
from libs.sandbox.dialects.google_tokens import google_service_account
from libs.sandbox.rules import RuleBook, read_rules


async def respond(request: web.BaseRequest, rules: RuleBook, bill: Bill) -> web.Response | None:
    """The answer to a control request; None when it is not one."""
    match request.method, request.path:
        case "GET", "/healthz":
            return _json(b'{"status":"serving"}')
        case "GET", "/_sandbox/bill":
            return web.Response(body=bill.as_json_lines(), content_type="application/x-ndjson")
        case ("GET" | "POST" | "DELETE") as method, "/_sandbox/rules":
            return await _rules(request, method, rules)
        case "GET", "/_sandbox/google_service_account":
            return _json(google_service_account().encode())
        case _:
            return None


async def _rules(request: web.BaseRequest, method: str, rules: RuleBook) -> web.Response:
    try:
        if method == "POST":
            rules.replace(read_rules(await request.read()))
        elif method == "DELETE":
            rules.replace([])
    except (ValueError, Refusal) as error:
        return _json(orjson.dumps({"error": {"message": str(error)}}), status=400)
    return _json(rules.as_json())


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")
