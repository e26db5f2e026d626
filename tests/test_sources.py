"""Sources: every kind of archive gives the same files, what is damaged or locked is said."""

import bz2
import errno
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pytest

from faceage.core.image_files import is_leftover, may_be_image
from faceage.core.script import UserError
from faceage.data import sources

FILES = {"b.jpg": b"second", "a/a.jpg": b"first" * 1000}


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".tar.zst": zstd,
}


def tarred(files=FILES) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files=FILES, compression=zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def contents(path) -> dict[str, bytes]:
    with sources.open_source(path) as source:
        return {name: source.read(name) for name in source.names}


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_compressed_archives(tmp_path, ending):
    path = tmp_path / "whatever it is called"
    path.write_bytes(COMPRESSIONS[ending](tarred()))
    assert contents(path) == FILES


@pytest.mark.parametrize("ending", [e for e in COMPRESSIONS if e != ".tar"])
def test_archives_that_are_cut_off_or_damaged(tmp_path, ending):
    whole = COMPRESSIONS[ending](tarred({"a.jpg": bytes(range(256)) * 2000}))
    path = tmp_path / f"cut{ending}"
    for damaged in (whole[: len(whole) // 2], whole[:20] + b"\x00" * 20 + whole[40:]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"cut.tar\S* is not a whole"):
            contents(path)


def test_a_folder_of_archives_is_one_source(tmp_path):
    (tmp_path / "part1.tar.gz").write_bytes(gzip.compress(tarred({"1_0_0_2017.jpg": b"one"})))
    (tmp_path / "part2.tar.gz").write_bytes(gzip.compress(tarred({"1_0_0_2017.jpg": b"two"})))
    (tmp_path / "part3.zip").write_bytes(zipped({"in/3.jpg": b"three", "__MACOSX/._3.jpg": b""}))
    (tmp_path / "labels.csv").write_bytes(b"ID,Class\n")
    (tmp_path / ".DS_Store").write_bytes(b"")
    assert contents(tmp_path) == {
        "labels.csv": b"ID,Class\n",
        "part1/1_0_0_2017.jpg": b"one",
        "part2/1_0_0_2017.jpg": b"two",
        "part3/in/3.jpg": b"three",
    }
    with sources.open_source(tmp_path) as source:
        assert source.ignored == 2
    (tmp_path / "unpacked.jpg").write_bytes(b"an image")  # then archives are what they came in
    assert "part1.tar.gz" in contents(tmp_path)


def test_a_damaged_archive_of_several_is_named(tmp_path):
    (tmp_path / "part1.tar.gz").write_bytes(gzip.compress(tarred()))
    (tmp_path / "part2.tar.gz").write_bytes(gzip.compress(tarred())[:-20])
    with pytest.raises(UserError, match=r"part2\.tar\.gz is not a whole"):
        contents(tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_damaged_members_of_a_zip_are_unreadable_and_the_others_are_read(tmp_path, method):
    files = {"a.jpg": bytes(range(256)) * 50, "b.jpg": b"whole"}
    content = bytearray(zipped(files, method))
    start = content.find(b"a.jpg") + len("a.jpg") + 12
    content[start : start + 20] = b"\xa5" * 20
    (tmp_path / "f.zip").write_bytes(content)
    with sources.open_source(tmp_path / "f.zip") as source:
        with pytest.raises(sources.Unreadable, match=r"\w"):
            source.read("a.jpg")
        assert source.read("b.jpg") == b"whole"


def test_a_zip_with_damaged_names(tmp_path):
    content = zipped({"größe.jpg": b"x"}).replace("größe".encode(), b"gr\xff\xff\xff\xff\xffe"[:7])
    (tmp_path / "f.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"names in .* are damaged; unpack it"):
        contents(tmp_path / "f.zip")


def test_a_zip_with_a_password(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"secret")
    locked = bytearray(zipped({"a.jpg": b"secret"}))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.find(mark) + flags] |= 1
    (tmp_path / "f.zip").write_bytes(locked)
    with pytest.raises(UserError, match="needs a password; unpack it"):
        contents(tmp_path / "f.zip")
    half = bytearray(zipped(FILES))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        half[half.find(mark) + flags] |= 1
    (tmp_path / "f.zip").write_bytes(half)
    with sources.open_source(tmp_path / "f.zip") as source:
        assert source.read("a/a.jpg") == FILES["a/a.jpg"]
        with pytest.raises(sources.Unreadable, match="needs a password"):
            source.read("b.jpg")


@pytest.mark.parametrize(
    "name",
    [
        "__MACOSX/faces/._a.jpg",
        "faces/._labels.csv",
        "faces/Thumbs.db",
        ".DS_Store",
        "a/desktop.ini",
        "a.jpg.part",
        "a.jpg~",
        "labels.csv.bak",
        "x/.git/objects/12",
        ".a.jpg.swp",
        "b.tmp",
    ],
)
def test_what_programs_leave_behind(name):
    assert is_leftover(name)


@pytest.mark.parametrize("name", ["./a.jpg", "../x/a.jpg", "a.b/c.jpg", "thumbs.jpg", "part1/a"])
def test_what_is_somebodys(name):
    assert not is_leftover(name)
    assert may_be_image(name)


def test_leftovers_do_not_count_as_files(tmp_path):
    for name in ("a.jpg", "._a.jpg", "Thumbs.db", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with sources.open_source(tmp_path) as source:
        assert (source.names, source.ignored) == (["a.jpg"], 3)


def test_what_goes_or_fails_while_a_folder_is_read_is_no_fault_of_a_file(tmp_path, monkeypatch):
    """Listed as unreadable it would be left out for good; what never was readable is listed."""
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"a")
    (tmp_path / "link.jpg").symlink_to("nowhere")
    with sources.open_source(tmp_path) as source:
        with pytest.raises(sources.Unreadable, match="No such file"):
            source.read("link.jpg")
        (tmp_path / "a.jpg").unlink()
        with pytest.raises(FileNotFoundError):
            source.read("a.jpg")

        for number in (errno.EIO, errno.EACCES):

            def fail(*_, number=number):
                raise OSError(number, os.strerror(number), "b.jpg")

            monkeypatch.setattr(sources, "open", fail, raising=False)
            with pytest.raises(OSError, match=os.strerror(number)):
                source.read("b.jpg")


def test_a_folder_that_may_not_be_read_is_not_passed_over(tmp_path, monkeypatch):
    for name in ("in", "lost+found"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"a")
    scan, locked = os.scandir, {"lost+found"}

    def scandir(path):
        if os.path.basename(path) in locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with sources.open_source(tmp_path) as source:  # the system keeps that one to itself
        assert source.names == ["in/a.jpg"]
    locked.add("in")
    with pytest.raises(PermissionError, match="in"), sources.open_source(tmp_path):
        pass
