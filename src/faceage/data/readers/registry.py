"""The layouts by name, and the one of a source: named in params.yaml, or found out."""

import difflib
from collections import Counter
from collections.abc import Mapping

from faceage.core.image_files import may_be_image
from faceage.core.script import UserError
from faceage.core.settings import Data, Grouping

# Imported for the classes in them, which make themselves known.
from faceage.data.readers import file_names, folders, imdb_wiki  # noqa: F401
from faceage.data.readers.base import READERS, NotThisLayout, Reader
from faceage.data.readers.listed import Listed
from faceage.data.sources import WHERE, Source

TABLES = (".csv", ".tsv")
# A layout is recognised where this share of the images have a label in it.
RECOGNISED = 0.5
# Two layouts say the same where so many of the ages that both have differ by a year at most.
AGREEMENT = 0.9


def known(layout: str) -> str:
    """The name of a layout, or `auto`, as it came; raises `UserError` for any other."""
    if layout in READERS or layout == "auto":
        return layout
    close = difflib.get_close_matches(layout, READERS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: auto, {', '.join(sorted(READERS))}"
    raise UserError(f"data.layout is {layout!r}, which is no layout ({hint})")


def choose(source: Source, data: Data, groupings: Mapping[str, Grouping]) -> Reader:
    """The reader that `data.layout` names; for `auto`, that of the layout that is found.

    Raises
    ------
    UserError
        If no layout is found, what is found is implausible or not the only reading, or what the
        layout needs is missing.
    """
    if known(data.layout) != "auto":
        return READERS[data.layout](source, data, groupings)
    if not any(map(may_be_image, source.names)):
        raise UserError(f"data.source: there is no image in {data.source}; {WHERE}")
    fitting, missing = _fitting(source, data, groupings)
    if not fitting:
        raise missing
    for reader in fitting:
        if reader.certain:
            return reader
    sound = [reader for reader in fitting if not reader.objection]
    if not sound:
        raise UserError(
            f"data.layout: {_reading(fitting[0])}, but {fitting[0].objection}; {_choices(fitting)}"
        )
    if not all(_agree(sound[0], other) for other in sound[1:]):
        readings = "; or ".join(_reading(reader) for reader in sound)
        raise UserError(
            f"data.layout: {data.source} can be read in {len(sound)} ways that disagree:"
            f" {readings}; {_choices(sound)}"
        )
    return sound[0]


def in_words(reader: Reader) -> str:
    """What the reader understands, with examples."""
    return f"data.layout: {reader.layout}, e.g. {reader.examples}" if reader.labelled else ""


def _fitting(
    source: Source, data: Data, groupings: Mapping[str, Grouping]
) -> tuple[list[Reader], UserError]:
    """Readers of the layouts that the source may have, and what to say if there is none.

    Tables come before names: someone made them for these images. Where nothing labels enough of
    the images, a table is the layout all the same, and what it lacks can be said.
    """
    readers: list[Reader] = []
    missing: UserError | None = None
    for layout, reader in READERS.items():
        try:
            readers.append(reader(source, data, groupings))
        except NotThisLayout as error:
            if layout == "csv" and any(name.lower().endswith(TABLES) for name in source.names):
                missing = error
    tables: list[Reader] = [reader for reader in readers if isinstance(reader, Listed)]
    fitting = [reader for reader in readers if _fits(reader)] or tables
    fitting.sort(key=lambda reader: not isinstance(reader, Listed))
    best = max(readers, key=lambda reader: reader.share)
    shown = "; ".join(f"{layout}, {reader.shown}" for layout, reader in READERS.items())
    return fitting, missing or UserError(
        f"data.layout: none is found in {data.source} ({best.share:.0%} of the images are labelled"
        f" as in {best.layout}); known: {shown}; name one to use what it finds"
    )


def _fits(reader: Reader) -> bool:
    """Whether it labels enough of the images; if not, it forgets what it holds of each."""
    if reader.share >= RECOGNISED:
        return True
    reader.forget()
    return False


def _agree(first: Reader, other: Reader) -> bool:
    """Whether two readers understand the same, as far as both find exact ages."""
    pairs = [
        (said.age, other.labelled[name].age)
        for name, said in first.labelled.items()
        if name in other.labelled
    ]
    same = Counter(abs(a - b) <= 1 for a, b in pairs if a is not None and b is not None)
    return same[True] >= AGREEMENT * same.total()


def _reading(reader: Reader) -> str:
    return f"{reader.layout}, e.g. {reader.examples}"


def _choices(readers: list[Reader]) -> str:
    choices = " or ".join(f"-S data.layout={reader.layout}" for reader in readers)
    return f"if that is right, say so: {choices}"
