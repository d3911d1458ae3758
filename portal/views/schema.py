"""The OpenAPI description of the JSON door: who may ask, what a POST may repeat, and every refusal by its status."""

from http import HTTPStatus

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from portal.transfer.schema import CONTENT_DIGEST, SECURITY_SCHEMES, describe_refusals
from portal.transfer.schema_parts import RATE_LIMITED

PROBLEM = {
    "type": "object",
    "description": "A problem of RFC 9457. `code` never changes its meaning; `detail` is for people.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "detail")},
            },
        },
        "missing_parts": {
            "description": "With `missing_parts`: ranges of part numbers `[first, last]`.",
            "type": "array",
            "items": {"type": "array", "items": {"type": "integer"}},
        },
        "expected_size_bytes": {"description": "With `wrong_part_size`.", "type": "integer"},
        "missing": {"description": "With `seal_mismatch`: files that are not there.", "type": "integer"},
        "extra": {"description": "With `seal_mismatch`: files too many.", "type": "integer"},
        "max_file_size_bytes": {"description": "With `file_too_large`.", "type": "integer"},
        "quota": {"description": "With `quota_exceeded`: which one; `limit`, `used`, `wanted`.", "type": "string"},
    },
    "additionalProperties": True,
}

#: What any call may be answered with; a view adds its own in `problems[method]`.
ALWAYS = {
    400: "The request is not valid; `errors` says which fields and why.",
    405: "Another method.",
    500: "A fault of the portal; the request id finds it in the log.",
    503: "The database or the storage does not answer; nothing was changed.",
}
WITH_IDENTITY = {
    401: "No valid credentials.",
    403: "`insufficient_scope`, or `csrf_failed` in a browser session.",
    429: RATE_LIMITED,
}
WITH_ID = {404: "It does not exist, or it is somebody else's."}
WITH_POST = {
    400: "`invalid`: `errors` says which fields and why; or `digest_mismatch`.",
    408: "The body came too slowly.",
    413: "`body_too_large`: over 2 MiB.",
}
WITH_BODY = {415: "The body is not `application/json`."}
WITH_KEY = {
    409: "`idempotency_in_progress`: the first request with this key is still running.",
    422: "`idempotency_key_reused`: the key was sent before with another request.",
}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255},
    OpenApiParameter.HEADER,
    description="1 to 255 printable characters; the same POST again gets the first answer's body, as 200. The body's "
    "field `idempotency_key` does the same.",
)
DIGEST = OpenApiParameter("Content-Digest", str, OpenApiParameter.HEADER, description=CONTENT_DIGEST)
REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    str,
    OpenApiParameter.HEADER,
    description="`true`: this is the answer to an earlier request with the same Idempotency-Key.",
    response=[200],
)
LOCATION = OpenApiParameter(
    "Location", str, OpenApiParameter.HEADER, description="The path of what was made.", response=[201]
)
RETRY_AFTER = OpenApiParameter(
    "Retry-After",
    str,
    OpenApiParameter.HEADER,
    description="Seconds after which the answer may be there.",
    response=[202],
)


class BearerScheme(OpenApiAuthenticationExtension):
    """Describes `Authorization: Bearer <token>`."""

    target_class = "portal.views.auth.BearerAuthentication"
    name = "bearerAuth"

    def get_security_definition(self, auto_schema):
        """Return the scheme, as the byte door has it."""
        return SECURITY_SCHEMES[self.name]


class BrowserScheme(OpenApiAuthenticationExtension):
    """Describes the session of a logged-in browser."""

    target_class = "portal.views.auth.BrowserAuthentication"
    name = "cookieAuth"

    def get_security_definition(self, auto_schema):
        """Return the scheme, as the byte door has it."""
        return SECURITY_SCHEMES[self.name]


class PortalSchema(AutoSchema):
    """Adds what every call of this door has in common, and the refusals that the view names."""

    def get_override_parameters(self):
        """Return the parameters that no serializer knows."""
        digest = [DIGEST] if self.method == "POST" else []
        return [*digest, *([IDEMPOTENCY_KEY, REPLAYED] if self._is_idempotent() else [])]

    def get_tags(self):
        """Return the first word of the path."""
        return [self.path.strip("/").split("/")[0]]

    def get_operation(self, *args, **kwargs):
        """Return the operation with a response for each refusal; a status that is described already stays."""
        operation = super().get_operation(*args, **kwargs)
        if operation:
            operation["x-problems"] = self._problems(operation)
        return operation

    def _is_idempotent(self):
        return self.method == "POST" and getattr(self.view, "idempotent", False)

    def _problems(self, operation):
        found = dict(ALWAYS)
        if self.view.scopes:
            found |= WITH_IDENTITY
        if "{" in self.path:
            found |= WITH_ID
        if self.method == "POST":
            found |= WITH_POST
        if "requestBody" in operation:
            found |= WITH_BODY
        own = dict(getattr(self.view, "problems", {}).get(self.method, {}))
        for status, text in WITH_KEY.items() if self._is_idempotent() else ():
            own[status] = " ".join(filter(None, (own.get(status), text)))
        return found | own


def add_problems(result, generator, request, public):
    """Turn each operation's refusals into responses with the schema Problem; a spectacular hook, the last one."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    for path_item in result["paths"].values():
        for operation in path_item.values():
            for status, refusal in describe_refusals(operation.pop("x-problems", {})).items():
                described = operation["responses"].setdefault(status, refusal)
                described["content"] |= refusal["content"]
            for status, response in operation["responses"].items():
                response["description"] = response["description"] or HTTPStatus(int(status)).phrase
    return result
