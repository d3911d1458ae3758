"""Before the server starts, and until it answers."""

import socket

from boot.readiness import base_url, port_is_free, wait_until_ready
from tests.postgres import free_port


def test_a_port_that_somebody_listens_on_is_not_free():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not port_is_free("127.0.0.1", listener.getsockname()[1])
    assert port_is_free("127.0.0.1", free_port())


def test_the_address_is_one_that_this_machine_can_open():
    assert base_url("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert base_url("::", 80) == "http://[::1]:80"
    assert base_url("portal.example", 80) == "http://portal.example:80"


def test_waiting_ends_with_the_reason_when_the_server_ends():
    trouble = wait_until_ready("http://127.0.0.1:9", ended=lambda: 3, pause=lambda seconds: False)
    assert "ended with code 3" in trouble


def test_waiting_ends_with_the_last_answer_when_time_is_up():
    url = f"http://127.0.0.1:{free_port()}"
    trouble = wait_until_ready(url, ended=lambda: None, pause=lambda seconds: False, seconds=0.2)
    assert "not ready within 0.2 seconds" in trouble
    assert "refused" in trouble


def test_waiting_ends_when_a_stop_is_asked_for():
    url = f"http://127.0.0.1:{free_port()}"
    assert wait_until_ready(url, ended=lambda: None, pause=lambda seconds: True) is None
