"""Thornback, as its users start it."""

from __future__ import annotations

from typing import Any

import thornback


class Thornback:
    get = staticmethod(thornback.get)
    put = staticmethod(thornback.put)
    wait = staticmethod(thornback.wait)
    kill = staticmethod(thornback.kill)

    def start(self) -> None:
        thornback.init(log_to_driver=False)

    def stop(self) -> None:
        thornback.shutdown()

    def remote(self, target: Any, **options: Any) -> Any:
        return thornback.remote(**options)(target) if options else thornback.remote(target)

    def method(self, name: str) -> Any:
        return getattr(thornback, name)

    def is_worker(self, command: str, parent: str) -> bool:
        # A worker is forked from the template and keeps its command line; the template's own parent is the server.
        return "thornback._worker" in command or ("thornback._template" in command and "thornback._template" in parent)


load = Thornback
