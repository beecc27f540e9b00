"""`/docs`: every route with what it asks and an example, drawn from the document that programs read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from quant_pipeline.service.page.assets import addresses
from quant_pipeline.service.page.drawing import draw

router = APIRouter(include_in_schema=False)
VERBS = ("get", "post", "put", "delete")


class Asked(NamedTuple):
    """One thing that a route is given: name, where it stands, kind, and what it means."""

    name: str
    place: str
    kind: str
    meaning: str


class Route(NamedTuple):
    """One route as it is shown."""

    tag: str
    verb: str
    path: str
    says: str
    asked: tuple[Asked, ...]
    example: str
    statuses: tuple[tuple[str, str], ...]


@router.get("/docs")
async def documentation(request: Request) -> Response:
    """List the routes; like the document itself it says nothing of the account, and needs no token."""
    routes: dict[str, list[Route]] = {}
    for route in routes_of(request.app):
        routes.setdefault(route.tag, []).append(route)
    app: FastAPI = request.app
    about = [part for part in app.description.split("\n\n") if part.strip()]
    return HTMLResponse(draw("docs.html", assets=addresses(), routes=routes, about=about, version=app.version))


def routes_of(app: FastAPI) -> Iterator[Route]:
    """Read the document of an application."""
    document = app.openapi()
    schemas: Mapping[str, Any] = document.get("components", {}).get("schemas", {})
    for path, verbs in document["paths"].items():
        for verb, facts in verbs.items():
            if verb not in VERBS:
                continue
            body = facts.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            schema = schemas.get(str(body.get("$ref", "")).rpartition("/")[2], body)
            yield Route(
                (facts.get("tags") or ["other"])[0],
                verb.upper(),
                path,
                facts.get("description") or facts.get("summary", ""),
                (*_parameters(facts), *_fields(schema)),
                _example(verb, path, schema),
                tuple((status, each.get("description", "")) for status, each in facts.get("responses", {}).items()),
            )


def _parameters(facts: Mapping[str, Any]) -> Iterator[Asked]:
    for each in facts.get("parameters", ()):
        yield Asked(each["name"], each["in"], _kind(each.get("schema", {})), each.get("description", ""))


def _fields(schema: Mapping[str, Any]) -> Iterator[Asked]:
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        yield Asked(name, "body, needed" if name in required else "body", _kind(each), each.get("description", ""))


def _kind(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return str(schema.get("format") or schema.get("type", "anything"))


def _example(verb: str, path: str, schema: Mapping[str, Any]) -> str:
    """Write a request as it is typed in a shell."""
    words = f"curl http://127.0.0.1:8600{path}"
    if verb != "get":
        words += f" -X {verb.upper()}"
    examples = schema.get("examples")
    if examples:
        words += f" \\\n  -H 'Content-Type: application/json' \\\n  -d '{json.dumps(examples[0])}'"
    elif schema:
        words += " -H 'Content-Type: application/json' -d '{}'"
    return words
