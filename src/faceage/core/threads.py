"""Work that waits for disks and decoders, on all cores."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

CHUNK = 256  # items in hand at once, which bounds the memory and keeps the threads busy

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(do: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """What `do` makes of each item, in the order of the items, which are not read far ahead."""
    stream = iter(items)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        while chunk := list(islice(stream, CHUNK)):
            yield from threads.map(do, chunk)
