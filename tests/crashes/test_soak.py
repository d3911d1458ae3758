"""Load with faults for a while: nothing is lost, counted twice or left behind, and nothing grows."""

from tests.crashes.soak import Sample, Soak, describe, judge_growth, run_soak
from tests.rounds import FULL, SEED

#: In the quick run clients think between two steps, so that a minute of it leaves the tests beside it their processors.
SECONDS, PAUSE_SECONDS = 60, 0 if FULL else 0.05


def test_nothing_is_lost_and_nothing_grows_under_faults(tmp_path, fresh_database):
    with fresh_database() as url:
        found = run_soak(tmp_path, url, seconds=SECONDS, clients=3, seed=SEED, pause=PAUSE_SECONDS)
    report = "\n".join(describe(found))
    print(report)
    assert not found.faults, report
    # Without faults it would have proved nothing.
    assert sum(found.hit.values()) > 0, report
    assert min(found.done[what] for what in ("parts", "STORED", "deleted")) > 0, report


def samples(resident, descriptors):
    """Return a minute of samples whose memory and descriptors are functions of the second."""
    return [Sample(at, resident(at), descriptors(at)) for at in range(61)]


def faults_of(resident, descriptors=lambda at: 50):
    """Return what is said of such a minute."""
    found = Soak(60, [], {}, {}, {}, samples={"server": samples(resident, descriptors)})
    judge_growth(found, "server")
    return found.faults


def test_what_grows_is_seen():
    assert not faults_of(lambda at: 2**27)
    assert not faults_of(lambda at: 2**27 + (at < 8) * 2**27)
    assert "grew from" in faults_of(lambda at: 2**27 + at * 2**19)[0]
    assert "descriptors" in faults_of(lambda at: 2**27, lambda at: 50 + at)[0]
