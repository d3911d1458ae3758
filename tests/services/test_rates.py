"""How many requests a token may make: a burst, then so many a second, and the time to wait when it is too early."""

import pytest

from portal.exceptions import NotAuthenticated, RateLimited
from portal.services import rates
from portal.services.rates import BURST_SECONDS, MAX_BUCKETS, Rates
from portal.services.tokens import authenticate_token
from tests.samples import make_token


class Clock:
    """A clock that is moved by hand."""

    seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    """The clock of a bucket."""
    return Clock()


def takes(bucket, key, rate):
    """Return how many requests are let through now."""
    count = 0
    while count < 10_000:
        try:
            bucket.take(key, rate)
        except RateLimited:
            break
        count += 1
    return count


def test_a_burst_then_so_many_a_second(clock):
    bucket = Rates(now=clock)
    assert takes(bucket, "a", 5) == 5 * BURST_SECONDS
    assert takes(bucket, "a", 5) == 0
    clock.seconds += 1
    assert takes(bucket, "a", 5) == 5
    clock.seconds += 10**6
    assert takes(bucket, "a", 5) == 5 * BURST_SECONDS
    assert takes(bucket, "b", 5) == 5 * BURST_SECONDS


def test_it_says_when_another_try_is_worth_it(clock):
    bucket = Rates(now=clock)
    takes(bucket, "a", 1)
    with pytest.raises(RateLimited) as refused:
        bucket.take("a", 1)
    clock.seconds += refused.value.retry_after
    bucket.take("a", 1)


def test_0_is_no_limit():
    bucket = Rates()
    for _ in range(1000):
        bucket.take("a", 0)
    assert not bucket._buckets


def test_made_up_tokens_fill_no_memory(clock):
    bucket = Rates(now=clock)
    for number in range(3 * MAX_BUCKETS):
        bucket.take(f"made up {number}", 1)
        clock.seconds += 0.0001
    assert len(bucket._buckets) <= MAX_BUCKETS


def test_a_token_that_asks_too_often_is_refused_before_the_database_is_asked(
    ann, settings, monkeypatch, django_assert_num_queries
):
    settings.PORTAL_RATE_LIMIT = 1
    monkeypatch.setattr(rates, "rates", Rates(now=Clock()))
    token, other = make_token(ann), make_token(ann)
    for _ in range(BURST_SECONDS):
        assert authenticate_token(token).user == ann.user
    with django_assert_num_queries(0), pytest.raises(RateLimited):
        authenticate_token(token)
    assert authenticate_token(other).user == ann.user
    with pytest.raises(NotAuthenticated):
        authenticate_token("ptl_made_up")
