"""Keep connections alive on which nothing is sent for minutes, as while a function works."""

from __future__ import annotations

import socket
from typing import Any

#: AWS's gateways and balancers forget a connection that is silent for 350 s, and Linux sends its
#: first probe after two hours. What is lost is noticed after a minute and three probes.
_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 3}


def probe_idle_connections(client: Any) -> None:
    """Have the connections that a client of boto3 will open probed while they are silent.

    botocore's `tcp_keepalive` leaves the times to the system, and has no setting for them: the list
    of its options is extended.
    """
    options = client._endpoint.http_session._socket_options
    options.append((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
    for name, value in _PROBES.items():
        if hasattr(socket, name):  # Not on every developer's system.
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
