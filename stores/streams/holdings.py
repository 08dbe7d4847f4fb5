"""What owners hold of something that there is only so much of, and who gives some of it up first."""

from collections import OrderedDict
from heapq import heapify, heappop, heappush


class Holdings:
    """Things with a weight, by owner and in the order in which they came.

    Finding the owner that holds most takes as long for many owners as for few: a heap has every owner's weight, and
    older weights of it, which are passed over.
    """

    def __init__(self) -> None:
        self._of: dict[str, OrderedDict[str, int]] = {}
        self._weights: dict[str, int] = {}
        self._heaviest: list[tuple[int, str]] = []
        self.weight = 0
        """Of everything together."""

    def add(self, owner: str, name: str, weight: int) -> None:
        """The owner now holds this, too."""
        self._of.setdefault(owner, OrderedDict())[name] = weight
        self._weigh(owner, weight)

    def remove(self, owner: str, name: str) -> None:
        """The owner no longer holds this, if it did."""
        held = self._of.get(owner)
        if held is not None and name in held:
            self._weigh(owner, -held.pop(name))
            if not held:
                del self._of[owner], self._weights[owner]

    def oldest_of_heaviest(self) -> tuple[str, str] | None:
        """The owner that holds most, and the oldest thing that it holds; `None` if nobody holds anything."""
        while self._heaviest:
            weight, owner = self._heaviest[0]
            if self._weights.get(owner) == -weight:
                return owner, next(iter(self._of[owner]))
            heappop(self._heaviest)
        return None

    def _weigh(self, owner: str, more: int) -> None:
        self.weight += more
        weight = self._weights[owner] = self._weights.get(owner, 0) + more
        heappush(self._heaviest, (-weight, owner))
        if len(self._heaviest) > 2 * len(self._weights) + 64:
            self._heaviest = [(-weight, owner) for owner, weight in self._weights.items()]
            heapify(self._heaviest)
