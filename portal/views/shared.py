"""Paths that both doors answer: bytes are for `portal/transfer/`, everything else for Django."""


class SharedPath:
    """A view whose path takes a POST at the byte door too: `Allow` names the methods of both."""

    @property
    def default_response_headers(self):
        """Those of every answer."""
        methods = dict.fromkeys([*self.allowed_methods, "POST"])
        return super().default_response_headers | {"Allow": ", ".join(methods)}
