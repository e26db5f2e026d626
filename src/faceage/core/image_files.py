"""What a file's name says before it is opened: perhaps an image, or what programs leave behind."""

from posixpath import splitext

# Of what `images` decodes.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pnm"),
)
LEFT_BEHIND = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")
UNFINISHED = ("~", ".part", ".crdownload", ".download", ".tmp", ".bak", ".swp")


def may_be_image(name: str) -> bool:
    """Whether the name ends like an image's, or has no ending at all."""
    suffix = splitext(name)[1].lower()
    return suffix in SUFFIXES or suffix in ("", ".")


def is_leftover(name: str) -> bool:
    """Whether a path relative to a source is of no one's making.

    Hidden files and folders (`.git`, `.DS_Store`, macOS's `._name`), macOS's `__MACOSX`, thumbnails
    and settings of Windows' folders, unfinished downloads and editors' backups.
    """
    *folders, file = name.split("/")
    if any(_is_hidden(part) for part in (*folders, file)) or "__MACOSX" in folders:
        return True
    return file.lower() in LEFT_BEHIND or file.lower().endswith(UNFINISHED)


def _is_hidden(part: str) -> bool:
    return part.startswith(".") and part not in (".", "..")
