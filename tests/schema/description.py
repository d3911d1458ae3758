"""The OpenAPI description of a running portal, as a judge of answers."""

import re
from urllib.parse import urlsplit

import jsonschema
import requests


class Undescribed(AssertionError):
    """An answer that the description does not allow for."""


class Description:
    """What /schema says; `hook` is a response hook for `requests` that holds each answer against it."""

    def __init__(self, url):
        with requests.Session() as session:
            session.trust_env = False
            self.members = session.get(f"{url}/schema", timeout=60).json()
        self._validators = {}
        self._paths = {
            re.compile(re.sub(r"\{\w+\}", "[^/]+", path.replace("{path}", ".+"))): item
            for path, item in self.members["paths"].items()
        }

    def find(self, method, path):
        """Return `(path item, operation)` of a request; each is None when it is not described."""
        item = next((item for form, item in self._paths.items() if form.fullmatch(path)), None)
        if item is None:
            return None, None
        # HEAD is GET without its body, wherever it has no description of its own.
        return item, item.get(method.lower()) or (item.get("get") if method == "HEAD" else None)

    def hook(self, response, **_):
        """Raise Undescribed for an answer that is not as described."""
        self.judge(response)

    def judge(self, response):
        """Check the status, the media type and the body of an answer."""
        method, path = response.request.method, urlsplit(response.request.url).path
        item, operation = self.find(method, path)
        if operation is None:
            self._judge_undescribed(response, item)
            return
        described = operation["responses"].get(str(response.status_code))
        if described is None:
            raise Undescribed(f"{method} {path} answered {response.status_code}, which /schema does not tell of")
        if method == "HEAD":
            return
        content = described.get("content", {})
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if bool(content) != bool(kind and response.content) and kind != "application/octet-stream":
            raise Undescribed(f"{method} {path}: {response.status_code} has a body where none is described, or none")
        if content and kind not in content:
            raise Undescribed(f"{method} {path} answered {kind}, described is {' or '.join(content)}")
        if content and kind.endswith("json"):
            self._judge_body(response, content[kind]["schema"])

    def _judge_undescribed(self, response, item):
        """A method that no path item has is 405, whoever asks; a path of the API that is not there is 404."""
        if item is not None and response.request.method != "OPTIONS" and response.status_code not in (401, 405):
            raise Undescribed(f"{response.request.method} {response.request.url} is not described")

    def _judge_body(self, response, schema):
        errors = sorted(self.validator(str(schema), schema).iter_errors(response.json()), key=str)
        if errors:
            raise Undescribed(f"{response.request.method} {response.request.url}: {errors[0]}\n{response.text[:1000]}")

    def validator(self, name, schema):
        """Return the validator of a schema of the description, whose references lead into its components."""
        if name not in self._validators:
            whole = {"components": self.members["components"], **schema}
            self._validators[name] = jsonschema.Draft202012Validator(
                whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
            )
        return self._validators[name]
