"""Pictures, made smaller and described.

Made by `thornback gen` from the package demo:images@1.0.0. Do not edit: change the interface and make it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

from thornback import ObjectRef
from thornback import interface as _i


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture and how large it is."""

    width: int
    height: int

    pixels: bytes
    """Three bytes a pixel, row by row."""


_IMAGE: Final[_i.Codec[Image]] = _i.record(Image, ("width", "width", _i.U32), ("height", "height", _i.U32), ("pixels", "pixels", _i.BYTES))


class _ImagesResize(_i.Function[Image]):
    """Resizes a picture, keeping what it shows."""

    _served: ClassVar = "images.resize"
    _name: ClassVar = "resize"
    _signature: ClassVar = "func(image: list<u8>, width: u32) -> record{width: u32, height: u32, pixels: list<u8>}"
    _params: ClassVar = (("image", _i.BYTES), ("width", _i.U32))
    _gives: ClassVar = _IMAGE

    def remote(self, image: bytes | ObjectRef[bytes], width: int | ObjectRef[int]) -> ObjectRef[Image]:
        """Calls it and gives a ref of the result at once."""
        return self._call(image, width)


class Images:
    """Pictures, made smaller and described."""

    resize: Final = _ImagesResize()
    __thornback__: Final = (resize,)


class ImagesWorker(Protocol):
    """What serves `images`: a module or an object with these functions."""

    def resize(self, image: bytes, width: int) -> Image:
        """Resizes a picture, keeping what it shows."""
        ...


def serve_images(implementation: ImagesWorker) -> None:
    """Registers what serves the interface; `thornback.worker.serve()` then serves it.

    Raises `TypeError` that says everything that is missing or does not fit.
    """
    _i.serve(implementation, [(Images.resize, "resize")])
