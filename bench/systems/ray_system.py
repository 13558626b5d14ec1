"""Ray, as its users start it."""

from __future__ import annotations

from typing import Any

import ray
import ray.util


class Ray:
    get = staticmethod(ray.get)
    put = staticmethod(ray.put)
    wait = staticmethod(ray.wait)
    kill = staticmethod(ray.kill)

    def start(self) -> None:
        ray.init(logging_level="ERROR", log_to_driver=False)

    def stop(self) -> None:
        ray.shutdown()

    def remote(self, target: Any, **options: Any) -> Any:
        return ray.remote(**options)(target) if options else ray.remote(target)

    def method(self, name: str) -> Any:
        return getattr(ray, name, None) or getattr(ray.util, name)

    def is_worker(self, command: str, parent: str) -> bool:
        return command.startswith("ray::") or "default_worker.py" in command


load = Ray
