"""Work that waits for disks and decoders, on all cores."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

IN_HAND = 256  # items at once, which bounds the memory and keeps the threads busy

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    do: Callable[[Item], Result], items: Iterable[Item], in_hand: int = IN_HAND
) -> Iterator[Result]:
    """What `do` makes of each item, in their order; no more of them are read than are in hand."""
    stream = iter(items)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        while chunk := list(islice(stream, in_hand)):
            yield from threads.map(do, chunk)
