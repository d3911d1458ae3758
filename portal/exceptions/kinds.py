"""The root of all errors, and below it their kinds: `portal/problems.py` gives each its HTTP status."""


class PortalError(Exception):
    """The root of the tree; never raised itself."""

    code = "error"
    detail = "The request could not be carried out."
    #: Seconds after which the same request is worth another try; None when waiting does not help.
    retry_after: int | None = None

    def __init__(self, detail=None, **extra):
        self.detail = detail or self.detail
        self.extra = extra
        super().__init__(self.detail)


class Invalid(PortalError):
    """The request itself is wrong; `errors` lists what is wrong with which field."""

    code = "invalid"
    detail = "The request is not valid."


class NotAuthenticated(PortalError):
    code = "not_authenticated"
    detail = "Send 'Authorization: Bearer <token>' with a token that is valid."


class Forbidden(PortalError):
    code = "forbidden"
    detail = "This is not allowed."


class NotFound(PortalError):
    """It does not exist, or it is somebody else's: the two cannot be told apart."""

    code = "not_found"
    detail = "There is nothing here that you can see."


class Conflict(PortalError):
    code = "conflict"


class TooLarge(PortalError):
    code = "body_too_large"
    detail = "The body is larger than this endpoint takes."


class LengthMissing(PortalError):
    code = "length_required"
    detail = "Send the body with a Content-Length."


class Unprocessable(PortalError):
    code = "unprocessable"


class TooSlow(PortalError):
    code = "request_timeout"
    detail = "The body came too slowly."


class BadRange(PortalError):
    code = "range_not_satisfiable"
    detail = "The range lies outside the file."


class TooMany(PortalError):
    code = "too_many_requests"
    retry_after = 60


class Unavailable(PortalError):
    """A part of the portal does not answer; nothing was changed and waiting helps."""

    code = "unavailable"
    retry_after = 5


class OutOfSpace(PortalError):
    code = "insufficient_storage"
    detail = "The storage is full."
    retry_after = 60
