"""The description of a batch's counters as a stream."""

from portal.transfer.schema_parts import (
    RATE_LIMITED,
    SECURITY,
    STRING,
    describe_refusals,
    header_parameter,
    path_parameter,
)

PROBLEMS = {
    400: "An unknown host.",
    401: "No valid credentials.",
    403: "The token has neither the scope `read` nor `service`.",
    404: "No such batch that you may see.",
    405: "Another method.",
    429: RATE_LIMITED,
    500: "A fault of the portal; the request id finds it in the log.",
    503: "The database does not answer, or as many listen as the server can hold.",
}
LAST_EVENT_ID = "The `id` of the last event that was seen: nothing is sent before the counters differ from it."


def describe_stream():
    """Return the path item of `GET /batches/{id}/stream`."""
    return {
        "get": {
            "operationId": "stream_batch",
            "tags": ["batches"],
            "summary": "The counters of a batch as they move",
            "description": "Server-Sent Events. Each event `batch` has the counters of the batch as they are: `id`, "
            "`status`, `expected_files`, `total_files`, `stored_count`, `failed_count`, `pending_count`, "
            "`total_bytes`, `stored_bytes`, `sealed_at`, `completed_at`. The first comes at once, the next within a "
            "second of a change. The stream ends when the batch is completed or cancelled, and after a quarter of an "
            "hour; browsers come back by themselves.",
            "parameters": [
                path_parameter("id", {"type": "string", "format": "uuid"}),
                header_parameter("Last-Event-ID", LAST_EVENT_ID),
            ],
            "responses": {
                "200": {"description": "The events.", "content": {"text/event-stream": {"schema": STRING}}},
                "204": {"description": "The last event was seen already, and nothing follows: do not come back."},
                **describe_refusals(PROBLEMS),
            },
            "security": SECURITY,
        }
    }
