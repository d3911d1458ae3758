"""The rules of the walk: each call that the contract has, in any order, expiry, the worker, and what may go wrong.

What a rule is called with says all of it, so that a report can be read; numbers mean one of what is there.
"""

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.stateful.batch_requests import BatchRequests
from tests.stateful.contents import CONTENTS, OTHER_BYTES
from tests.stateful.declare_requests import DeclareRequests
from tests.stateful.fates import KINDS
from tests.stateful.file_requests import FileRequests
from tests.stateful.model import TO_JOIN
from tests.stateful.session_requests import SessionRequests
from tests.stateful.store_requests import StoreRequests
from tests.stateful.streams import BROKEN, CUT, FORM, TAR
from tests.stateful.trespasses import TRIES, Trespasses

PATHS = ["a", "b/c.bin", "b/d", "ä ö", "-x"]
contents, paths = st.sampled_from(list(CONTENTS)), st.sampled_from(PATHS)
some = st.integers(0, 11)
right_or_wrong = st.sampled_from([None, "right", "right", "wrong"])
MANY_MEMBERS = 3
entries = st.tuples(paths, contents, right_or_wrong)
#: Of a manifest; some cannot be read.
lines = st.one_of(entries, entries, entries, st.none())
#: What a part is made of, if not of what the client means.
others = st.sampled_from([None, None, OTHER_BYTES, OTHER_BYTES, "one", "long"])
#: What is wrong with a body itself, now and then.
harms = st.sampled_from([None] * 4 + ["digest_mismatch", "incomplete_body"])
mostly_not = st.sampled_from([False] * 4 + [True])
#: What is odd about a member, and what ends a stream too early, now and then.
odds, ends = (
    st.sampled_from([None] * 6 + ["skipped", "bad name", "refused"]),
    st.sampled_from([None] * 4 + [CUT, BROKEN]),
)
members = st.lists(st.tuples(paths, contents, odds), min_size=1, max_size=MANY_MEMBERS)


def one_of(**calls):
    """Return a strategy for `(name, arguments)` of one of these methods; each is given its weight and its arguments."""
    return st.one_of(
        *(
            st.tuples(st.just(name), st.fixed_dictionaries(fields))
            for name, (weight, fields) in calls.items()
            for _ in range(weight)
        )
    )


CALLS = {
    "make_batch": (1, {"expected": st.sampled_from([None, 1, 2, 3])}),
    "open_session": (3, {"path": st.sampled_from([*PATHS, *PATHS, None]), "content": contents, "how": right_or_wrong}),
    "open_loose_session": (1, {"content": contents, "how": right_or_wrong}),
    "put_what_is_missing": (4, {}),
    "put_part": (3, {"number": st.sampled_from([1, 1, 1, 2, 2, 3, 0]), "other": others, "harm": harms}),
    "finalize": (3, {}),
    "finalize_many": (2, {"places": st.lists(some, min_size=1, max_size=4)}),
    "abort": (1, {}),
    "put_file": (2, {"path": paths, "content": contents, "harm": harms}),
    "post_file": (1, {"content": contents}),
    "post_many": (4, {"kind": st.sampled_from([TAR, FORM]), "members": members, "end": ends, "half": st.booleans()}),
    "declare": (3, {"entries": st.lists(entries, min_size=1, max_size=MANY_MEMBERS), "open_sessions": st.booleans()}),
    "put_manifest": (2, {"entries": st.lists(lines, max_size=5), "cut": mostly_not}),
    "seal": (4, {"files": right_or_wrong, "manifest": right_or_wrong}),
    "cancel": (1, {"delete": st.booleans()}),
    "delete_file": (1, {}),
    "receipt": (1, {}),
    "list_by_status": (1, {"status": st.sampled_from(["EXPECTED", "UPLOADING", "STORED", "FAILED"])}),
    "trespass": (2, {"hows": st.lists(st.sampled_from(list(TRIES)), min_size=4, max_size=8)}),
    "the_same_again": (2, {"what": st.sampled_from(["batch", "session", "file"])}),
    "leave_alone": (1, {}),
    "work": (1, {}),
    "pass_a_day": (1, {}),
}
#: What comes to the first request of it, and at which of its points, of which some calls have few.
POINTS = st.sampled_from([1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 7, 8, 10, 12])
FAULTS = st.one_of(st.none(), st.none(), st.tuples(st.sampled_from([*KINDS, "kill", "kill"]), POINTS))
#: How the portal is told of a part in the store, if it is.
tells = st.sampled_from([None, "named", "unnamed", "another"])
#: Who asks, by which token.
MOSTLY_ALL = st.sampled_from([("ann", "all")] * 8 + [("ann", "upload"), ("bob", "all")])
WHO = st.sampled_from([("ann", "all")] * 6 + [("ann", "upload"), ("ann", "read"), ("bob", "all"), ("bob", "all")])


class Walk(BatchRequests, SessionRequests, FileRequests, DeclareRequests, Trespasses):
    """Any call at any time: one rule, for of several hypothesis would leave out half in each walk."""

    @initialize(expected=st.sampled_from([None, None, 2]))
    def begin(self, expected):
        self.make_batch(0, expected)

    @rule(who=WHO, which=some, what=one_of(**CALLS), fault=FAULTS)
    def step(self, who, which, what, fault):
        self.go(who, which, what, fault)

    def go(self, who, which, what, fault):
        """Take one step."""
        self.unsettled, (name, token) = True, who
        self.turn_to(name)
        if all(batch.closed(TO_JOIN) for batch in self.model.batches):
            self.make_batch(0, which % 4 or None)
        name, arguments = what
        self.coming, self.token = fault, token
        getattr(self, name)(which, **arguments)
        self.coming, self.token, self.unsettled = None, "all", False


ABOUT_SESSIONS = (
    "open_session open_loose_session put_what_is_missing put_part finalize finalize_many abort declare cancel"
    " delete_file leave_alone work pass_a_day"
).split()
CALLS_WITH_A_STORE = {name: CALLS[name] for name in ABOUT_SESSIONS} | {
    "presign": (2, {"number": st.sampled_from([1, 2, 3])}),
    "send_to_store": (
        12,
        {"number": st.sampled_from([1, 1, 2]), "other": st.sampled_from([False] * 3 + [True]), "tell": tells},
    ),
    "send_all_to_store": (8, {"tell": st.booleans(), "late": st.booleans()}),
    "report": (1, {"number": st.sampled_from([1, 2, 3])}),
}


class StoreWalk(StoreRequests, Walk):
    """Where parts may go to the store itself. Nothing is made to fail: what a store does then is told elsewhere."""

    @rule(who=MOSTLY_ALL, which=some, what=one_of(**CALLS_WITH_A_STORE))
    def step(self, who, which, what):
        self.turn_to(who[0])
        if not any(session.open and not session.gone for session in self.model.sessions):
            self.open_loose_session(which, ("one", "long")[which % 2], None)
        self.go(who, which, what, None)
