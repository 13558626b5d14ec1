"""Whether a program waits for each operation before it posts another, as one does that makes a call at a time.

For such a program nothing gathers: its operation is sent when it is posted, and nobody need look whether something was left lying
about. It decides by counts alone, and sends nothing.
"""

from __future__ import annotations

from typing import Final

_ROW: Final = 50
"""So many in a row are a habit."""


class Habit:
    """Belongs to one session. Several threads may use it at once: to be wrong for a moment costs a batch or a tick, and loses nothing."""

    __slots__ = ("_row", "_sent", "single")

    def __init__(self) -> None:
        self.single = False
        """Each operation is waited for before there is another."""
        self._row = 0
        self._sent = False

    def post(self) -> bool:
        """An operation was posted while `single`. Whether to send it at once: the second before anybody waited ends the habit."""
        if self._sent:
            self.end()
            return False
        self._sent = True
        return True

    def end(self) -> None:
        """Something was posted that does not fit it."""
        self.single = False
        self._row = 0

    def wait(self, posted: int) -> None:
        """Somebody begins to wait, and so many operations were left for then."""
        self._sent = False
        if posted == 1:
            self._row += 1
            self.single = self._row >= _ROW
        elif posted:
            self.end()
