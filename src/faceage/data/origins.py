"""Where faces come from: `data.source` and the further ones of `data.sources`, opened."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from faceage.core.script import UserError
from faceage.core.settings import Data, Grouping
from faceage.data.readers import registry
from faceage.data.readers.base import Reader
from faceage.data.sources import Source, open_source


@dataclass(frozen=True)
class Origin:
    """A source that is open, and what params.yaml says of its faces.

    data: the parameters, with this source's own place, layout and alignment; name: its key in
    `data.sources`, empty for `data.source`; weight: of its faces in the loss; split: where all of
    them go, None where they are drawn.
    """

    source: Source
    reader: Reader
    data: Data
    name: str = ""
    weight: float = 1.0
    split: str | None = None

    def path(self, name: str) -> str:
        """What tables call a file: a further source is like a folder of its name."""
        return f"{self.name}/{name}" if self.name else name


@contextmanager
def opened(data: Data, groupings: Mapping[str, Grouping]) -> Iterator[Origin]:
    """The source that `data.source` names."""
    with open_source(data.source) as source:
        yield Origin(source, registry.choose(source, data, groupings), data)


@contextmanager
def all_opened(data: Data, groupings: Mapping[str, Grouping]) -> Iterator[list[Origin]]:
    """`data.source`, and then those of `data.sources`."""
    with ExitStack() as stack:
        origins = [stack.enter_context(opened(data, groupings))]
        for name, entry in data.sources.items():
            own = data.model_copy(update=entry.model_dump(include={"source", "layout", "align"}))
            with errors_of(name):
                origin = stack.enter_context(opened(own, groupings))
            origins.append(replace(origin, name=name, weight=entry.weight, split=entry.split))
        yield origins


@contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Say in a `UserError` which further source it is of."""
    try:
        yield
    except UserError as error:
        raise UserError(f"data.sources.{name}: {error}" if name else str(error)) from None
