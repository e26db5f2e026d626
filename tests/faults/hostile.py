"""Files that nobody wants to be given, by the thousand: the same for the same seed."""

import io
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from conftest import photo
from PIL import Image
from test_images import bomb, chunk

KINDS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM")
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "I;16", "F")
PICTURES = 40  # that are mutated

Random = random.Random
Content = Callable[[Random], bytes]


@cache
def picture(number: int, kind: str) -> bytes:
    """A picture that is as it should be."""
    return photo(number, (64 + number % 5, 64), kind)


def whole(choice: Random) -> bytes:
    return picture(choice.randrange(PICTURES), choice.choice(KINDS))


def truncated(choice: Random) -> bytes:
    content = whole(choice)
    return content[: choice.randrange(len(content))]


def flipped(choice: Random) -> bytes:
    content = bytearray(whole(choice))
    for _ in range(choice.randint(1, 30)):
        content[choice.randrange(len(content))] ^= 1 << choice.randrange(8)
    return bytes(content)


def flipped_header(choice: Random) -> bytes:
    content = bytearray(whole(choice))
    for _ in range(choice.randint(1, 6)):
        content[choice.randrange(min(64, len(content)))] = choice.randrange(256)
    return bytes(content)


def spliced(choice: Random) -> bytes:
    one, other = whole(choice), whole(choice)
    return one[: choice.randrange(len(one))] + other[choice.randrange(len(other)) :]


def doubled(choice: Random) -> bytes:
    """Another file behind the first, as an archive or a script may be."""
    return whole(choice) + choice.choice([b"PK\x05\x06" + bytes(18), b"<script>", whole(choice)])


def odd_mode(choice: Random) -> bytes:
    size, mode = (choice.randint(1, 90), choice.randint(1, 90)), choice.choice(MODES)
    image = Image.new(mode, size)
    file = io.BytesIO()
    try:
        image.save(file, choice.choice(KINDS))
    except (OSError, KeyError, ValueError):  # that format has no such mode
        file = io.BytesIO()
        image.save(file, "TIFF")
    return file.getvalue()


def odd_size(choice: Random) -> bytes:
    size = choice.choice([(1, 1), (1, 5000), (5000, 1), (47, 48), (3000, 3000)])
    file = io.BytesIO()
    Image.new("RGB", size, "grey").save(file, choice.choice(("PNG", "JPEG")))
    return file.getvalue()


def huge_claim(choice: Random) -> bytes:
    """A header that announces more than there is."""
    return bomb(choice.choice([300, 30_000, 100_000]), choice.choice([400, 50_000, 2**31 - 1]))


def packed_text(choice: Random) -> bytes:
    """A PNG with a comment that unpacks to 64 MiB."""
    content = picture(choice.randrange(PICTURES), "PNG")
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 * 2**20)))
    return content[:33] + text + content[33:]


def many_frames(choice: Random) -> bytes:
    file = io.BytesIO()
    frames = [Image.new("P", (64, 64), n % 256) for n in range(choice.randint(2, 60))]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def another_type(choice: Random) -> bytes:
    return choice.choice(
        [
            b"",
            b"\0",
            b"%PDF-1.7\n",
            b"<html><img src=x onerror=alert(1)></html>",
            b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
            b"\x7fELF" + bytes(100),
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff",
            b"RIFF" + struct.pack("<I", 2**32 - 1) + b"WEBP",
            choice.randbytes(choice.randint(1, 4000)),
        ]
    )


def nested_archive(choice: Random) -> bytes:
    content = whole(choice)
    for depth in range(choice.randint(1, 4)):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"../{depth}.jpg", content)
        content = file.getvalue()
    return content


CONTENTS: tuple[Content, ...] = (
    *(whole, truncated, flipped, flipped_header, spliced, doubled, odd_mode, odd_size),
    *(huge_claim, many_frames, another_type, nested_archive),
)
RARE: tuple[Content, ...] = (packed_text,)  # that take a while each


def contents(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Kind and bytes of so many files."""
    choice = random.Random(seed)
    for number in range(count):
        make = choice.choice(RARE if number % 100 == 99 else CONTENTS)
        yield make.__name__, make(choice)


def name(choice: Random, number: int) -> bytes:
    """A name like UTKFace's, or one that is not, each another."""
    age = choice.choice([20, 35, 50, 0, 116, 117, 999, 10**20, -5])
    plain = f"{age}_{choice.randrange(4)}_{choice.randrange(7)}_20170101{number:09d}"
    suffix = choice.choice([".jpg", ".png", ".JPG", ".jpg.chip.jpg", ".webp", ".tif", "", ".txt"])
    odd = choice.choice(
        [
            *[""] * 12,
            "=HYPERLINK(1)",
            '"',
            ",",
            ";\t",
            "\n",
            "\r",
            "-rf *",
            "$(touch x)",
            "\u202egpj",
            "😀",
            "e\u0301",
            "٣",
            "%00",
            "..",
            "\x1b[31m",
            "x" * 150,
        ]
    )
    text = f"{odd}{plain}{suffix}" if choice.random() < 0.5 else f"{plain}{odd}{suffix}"
    encoded = text.encode()
    return b"\xff\xfe" + encoded if choice.random() < 0.03 else encoded


def write(folder: Path, count: int, seed: int) -> int:
    """Write so many files into a folder and folders in it; return how many a walk finds.

    Every twentieth is none that has content: a link, a pipe, a sparse file, a folder of that name.
    """
    choice = random.Random(seed)
    folder.mkdir(parents=True)
    for number, (_, content) in enumerate(contents(count, seed)):
        place = folder / choice.choice(["", "a", "a/b", "empty name"])
        place.mkdir(parents=True, exist_ok=True)
        path = os.fsencode(place) + b"/" + name(choice, number)
        if number % 20 == 19:
            special(path, number // 20)
        else:
            Path(os.fsdecode(path)).write_bytes(content)
    return sum(len(files) for _, _, files in os.walk(folder))


def special(path: bytes, number: int) -> None:
    """What is there and is no file with content of its own."""
    match number % 8:
        case 0:
            os.symlink("/etc/passwd", path)
        case 1:
            os.symlink("nowhere", path)
        case 2:
            os.symlink(os.path.basename(path), path)  # to itself
        case 3:
            os.symlink("/etc", path)
        case 4:
            os.mkfifo(path)
        case 5:
            with open(path, "wb") as file:
                file.truncate(2**40)  # a terabyte, of which nothing is stored
        case 6:
            with open(path, "wb") as file:
                file.write(b"\xff\xd8\xff")
                file.truncate(60 * 2**20)
        case _:
            os.mkdir(path)
