"""Addresses, and how to connect to them."""

from __future__ import annotations

import os
from collections.abc import Callable

from thornback import _errors
from thornback._session.carrier import Carrier


def connector(address: str, token: str) -> Callable[[], Carrier]:
    """What opens a connection to an address: ``unix:/path``, ``/path``, or ``host:port`` for gRPC."""
    if address.startswith(("unix:", "/")):
        path = address.removeprefix("unix:").removeprefix("//")

        def unix() -> Carrier:
            from thornback._session.unix import UnixCarrier

            return UnixCarrier.connect(path)

        return unix
    target = address.removeprefix("grpc://")
    host, _, port = target.rpartition(":")
    if not host or not port.isdigit():
        raise _errors.InvalidArgumentError(f"{address!r} is not an address; give 'unix:/path/to/socket' or 'host:port'")

    def grpc() -> Carrier:
        try:
            from thornback._session.grpc import GrpcCarrier
        except ImportError:
            raise _errors.InvalidArgumentError(f"{address} is reached by gRPC, which needs: pip install 'thornback[grpc]'") from None
        return GrpcCarrier(target, token)

    return grpc


def read_token(path: str | None) -> str:
    """The token in a file; empty if none is named."""
    path = path or os.environ.get("THORNBACK_TOKEN_FILE")
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as error:
        raise _errors.UnauthenticatedError(f"the token file cannot be read: {error}") from None
