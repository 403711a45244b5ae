"""What the OpenAPI document says besides the views: keys, and the shape of errors."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from api.errors import CONTENT_TYPE


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call,misc]
    """Authorization: Bearer csc_..."""

    target_class = "api.authentication.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """As OpenAPI names it."""
        return {"type": "http", "scheme": "bearer", "description": "A key made in the admin: csc_..."}


_FAULT = {
    "type": "object",
    "required": ["field", "code", "message"],
    "properties": {name: {"type": "string"} for name in ("field", "code", "message")},
}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `code` is for programs, `detail` for people, in the language of Accept-Language.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": _FAULT},
    },
}
_ANSWERS = {
    "400": "The request is wrong; `errors` names the fields.",
    "401": "No valid key.",
    "403": "The key lacks a permission.",
    "404": "There is no such thing.",
    "405": "Not possible here.",
    "409": "It contradicts how things stand.",
    "415": "Send JSON.",
    "422": "The Idempotency-Key was used for another request.",
    "429": "Too many requests; Retry-After says how long to wait.",
}


def add_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Postprocessing hook: every operation may answer with a problem."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for methods in result["paths"].values():
        for operation in methods.values():
            if isinstance(operation, dict) and "responses" in operation:
                for code, text in _ANSWERS.items():
                    operation["responses"].setdefault(code, {"description": text, "content": content})
    return result
