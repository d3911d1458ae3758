"""How a call may come out: what it may be answered with, and which of its steps came to pass.

A call is a sequence of steps, each of which comes to pass as a whole or not at all. It asks `luck()` before each: True
unless something was made to fail. It asks `luck.either()` where the contract leaves it open.
"""

from dataclasses import dataclass

#: What is answered where the storage or the database did not do what it should.
FAULTS = {"storage_unavailable", "insufficient_storage", "database_unavailable"}
FAULTY = frozenset({(503, "storage_unavailable"), (507, "insufficient_storage"), (503, "database_unavailable")})


@dataclass(frozen=True)
class Told:
    """What a call may be answered with: pairs of status and code; and for each of many the pairs of word and code."""

    answers: frozenset
    items: tuple | None = None

    def fits(self, answer, items):
        """Whether `(status, code)` and the items of an answer are among it."""
        if answer not in self.answers:
            return False
        wanted = self.items if answer[0] == 200 else None
        return wanted is None or (
            items is not None and len(items) == len(wanted) and all(map(lambda one, of: one in of, items, wanted))
        )


def told(status, *codes, items=None):
    """Return Told of one status, with any of the codes."""
    return Told(frozenset((status, code) for code in codes or (None,)), items and tuple(items))


def refused(reasons):
    """Return Told of any of these reasons: the contract does not say which of several is named."""
    statuses = {"part_out_of_range": 400, "wrong_part_size": 400, "digest_mismatch": 400, "incomplete_body": 400}
    return Told(frozenset((statuses.get(code, 409), code) for code in reasons))


UNDONE, MISSING = Told(FAULTY), told(404, "not_found")
LOST = {("REJECTED", code) for code in FAULTS} | {("rejected", code) for code in FAULTS}


class Luck:
    """Answers for each step in turn from `given`, True beyond; `asked` is what was answered."""

    def __init__(self, given=(), *, faulty=False):
        self.given, self.faulty, self.asked = list(given), faulty, []

    def either(self):
        """Whether it comes to pass, where both are right."""
        self.asked.append(self.given[len(self.asked)] if len(self.asked) < len(self.given) else True)
        return self.asked[-1]

    def __call__(self):
        return self.either() if self.faulty else True


def outcomes(model, call, copy, *, faulty):
    """Yield `(model, Told)` for each way in which a call can come out."""
    waiting = [[]]
    while waiting:
        luck, after = Luck(waiting.pop(), faulty=faulty), copy(model)
        given = len(luck.given)
        yield after, call(after, luck)
        waiting += [[*luck.asked[:place], False] for place in range(given, len(luck.asked))]
