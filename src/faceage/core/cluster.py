"""Work on a Ray cluster, where the environment names one: RAY_ADDRESS, as Ray itself has it.

Where a thing is computed is no parameter of what it is: so it is no key of params.yaml, and DVC
takes a result of a cluster for the same as one of a single machine.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from faceage.core.script import UserError

ADDRESS = "RAY_ADDRESS"
HERE = "local"  # Ray's word for a cluster of this machine that ends with the program
STORE = 256 * 2**20  # bytes of memory that such a cluster shares between its processes
INSTALL = "pip install -r requirements-cluster.txt"
# Items that are handed over at once: what is to be done has to lie in memory, what is done has not.
MANY = 256

Item = TypeVar("Item")
Result = TypeVar("Result")


def is_named() -> bool:
    """Whether the environment names a cluster."""
    return bool(os.environ.get(ADDRESS))


def name_one() -> None:
    """Have the environment name a cluster: that of this machine if it names none."""
    if not is_named():
        os.environ[ADDRESS] = HERE


def in_order(do: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """What workers of the cluster make of each item, in the order of the items.

    Each core has one worker, which works in the folder in which this program does. An
    item whose worker or node dies is done again elsewhere.

    Parameters
    ----------
    do : can be pickled, like the items and the results

    Raises
    ------
    UserError
        If Ray is not installed, there is no cluster, or `do` raises it.
    OSError
        If `do` raises it.
    """
    stream = iter(items)
    part = list(islice(stream, MANY))
    if not part:
        return
    with connected():
        while part:
            yield from _done(do, part)
            part = list(islice(stream, MANY))


def _done_in(folder: Path, do: Callable[[Item], Result], item: Item) -> Result:
    """What a worker does, in the driver's folder: paths are to mean the same."""
    if not folder.is_dir():
        raise UserError(f"a worker of the cluster has no {folder}: all nodes have to see one disk")
    with chdir(folder):
        return do(item)


@contextmanager
def connected() -> Iterator[None]:
    """A connection to the cluster, over which workers get this program's code.

    One that is there is used, and stays.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # noqa: PLC0415 (few have it, and it is slow to load)
    except ImportError:
        raise UserError(f"{ADDRESS} names a cluster, and Ray is not installed: {INSTALL}") from None
    if ray.is_initialized():
        yield
        return
    address = os.environ[ADDRESS]
    _require_answer(address)
    # What is only to be said of a cluster that starts with this.
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE}
    ray.init(
        address,
        runtime_env={"py_modules": [str(Path(__file__).parents[1])]},
        logging_level=logging.ERROR,
        log_to_driver=False,
        **(own if address == HERE else {}),
    )
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Raise `UserError` if nobody listens at a HOST:PORT; Ray tries that for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UserError(
            f"{ADDRESS} is {address}, and no Ray cluster answers there ({error}); start one with"
            f" `ray start --head`, or set {ADDRESS}={HERE}"
        ) from None


@dataclass(frozen=True, repr=False)
class _Sealed:
    """Keeps Ray from turning lists and tables into columns of its own.

    Without words: Arrow, which Ray asks for a column of these, puts the object into its refusal,
    and to write a lot of files out takes a third of the time that it takes to decode them.
    """

    content: Any


def _done(do: Callable[[Item], Result], items: list[Item]) -> Iterator[Result]:
    import ray.data  # noqa: PLC0415 (few have it, and it is slow to load)

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)

    here = Path.cwd()

    def one(row: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"made": _Sealed(_done_in(here, do, row["item"].content))}
        except (UserError, OSError) as error:  # what else is raised is a fault of the program
            return {"made": _Sealed(error)}

    rows = ray.data.from_items(
        [{"item": _Sealed(item)} for item in items], override_num_blocks=len(items)
    )
    for row in rows.map(one).iter_rows():
        made = row["made"].content
        if isinstance(made, UserError | OSError):
            raise made
        yield made
