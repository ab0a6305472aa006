"""An address is reached, or refused soon."""

import re
import socket
import time

import pytest

from apc.search.cluster_nodes import check_address


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:1", "no Ray cluster answers there"),
        ("ray://127.0.0.1:1", "no Ray cluster answers there"),
        ("nowhere", "give auto on a node"),
        ("127.0.0.1:99999", "give auto on a node"),
    ],
)
def test_an_address_with_nothing_behind_it_is_refused_soon(address: str, sentence: str) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match=re.escape(address) + ".*" + sentence):
        check_address(address)
    assert time.monotonic() - began < 5


def test_rays_client_protocol_is_refused_with_the_way_that_works() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(ValueError, match="ray submit, ray job submit.*--address auto"):
            check_address(f"ray://127.0.0.1:{server.getsockname()[1]}")
