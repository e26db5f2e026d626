"""UTKFace's file names, `[age]_[gender]_[race]_[date&time].jpg`, as they are found in the wild.

The reference is https://susanqq.github.io/UTKFace/. In the published archive three names lack the
race and a few have a space before the suffix, a missing dot or a time stamp of another length:
what carries a usable age is accepted, what is missing stays missing, nothing is guessed.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

GENDERS = ("male", "female")
RACES = ("White", "Black", "Asian", "Indian", "Others")

# Written into the JPEG comment of every drawn face, so that whatever is made from them can say so.
SYNTHETIC_COMMENT = b"synthetic face drawn by faceage"

# An age counts only where a further numeric field follows: `12.jpg` or `7_cake.jpg` is no label.
AGE = re.compile(r"(?P<age>\d{1,3})(?P<rest>_+\d.*)", re.DOTALL)
# Date and time to the second; what follows are thousandths, of one to four digits.
STAMP = re.compile(r"_(?P<date>(19|20)\d{6})(?P<time>\d{6})(?P<fraction>\d{0,4})(?!\d)")
CODE = re.compile(r"_(?P<code>\d?)(?=[_.\s]|$)(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True)
class Labels:
    """What a file name says; `None` where it says nothing usable.

    age in years; gender 0 male, 1 female; race 0 White, 1 Black, 2 Asian, 3 Indian, 4 Others.
    """

    age: int
    gender: int | None
    race: int | None


def parse(name: str) -> Labels | None:
    """Labels in a file name without its folder, or None where no age leads the name.

    Codes are positional: in `39_1_20170116174525125.jpg` the gender is 1 and the race is missing,
    because a time stamp is not a code of one digit. A code outside its table counts as missing.
    """
    head = AGE.match(name)
    if head is None:
        return None
    gender, rest = _code(head["rest"], len(GENDERS))
    race, _ = _code(rest, len(RACES))
    return Labels(int(head["age"]), gender, race)


def taken(name: str) -> float | None:
    """Seconds from 1970 to the time stamp in a file name, which is when the crawl found the image.

    None where there is no time stamp, or no such date.
    """
    stamp = STAMP.search(name)
    if stamp is None:
        return None
    try:
        second = datetime.fromisoformat(f"{stamp['date']}T{stamp['time']}").replace(tzinfo=UTC)
    except ValueError:
        return None
    return second.timestamp() + float(f"0.{stamp['fraction'] or 0}")


def file_name(labels: Labels, stamp: str, suffix: str = ".jpg") -> str:
    """Name a file as UTKFace does; the place of a missing label stays empty or is left out."""
    codes = ["" if code is None else str(code) for code in (labels.gender, labels.race)]
    return f"{labels.age}_{'_'.join(codes)}".rstrip("_") + f"_{stamp}{suffix}"


def _code(text: str, known: int) -> tuple[int | None, str]:
    match = CODE.match(text)
    if match is None:
        return None, text
    code = int(match["code"] or known)
    return (code if code < known else None), match["rest"]
