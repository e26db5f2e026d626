"""Every reason for which a file of a source is not used: the vocabulary of data/rejected.csv."""

from enum import StrEnum


class Reason(StrEnum):
    """In the order in which they are counted."""

    UNREADABLE = "unreadable"
    EMPTY = "empty file"
    NOT_AN_IMAGE = "not an image"
    UNPARSEABLE = "unparseable name"
    UNLISTED = "not listed"
    LISTED_TWICE = "listed more than once"
    AMBIGUOUS = "listed without its folder, found in several"
    UNKNOWN_CLASS = "unknown class"
    SET_ASIDE = "put aside by the data set"
    ABSENT = "listed but absent"
    AGE = "age out of range"
    TOO_SMALL = "too small"
    TOO_LARGE = "too large"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    NO_FACE = "no face found"
    COPY = "byte-identical copy"
    CONFLICT = "byte-identical copies with conflicting ages"
    NEAR_CONFLICT = "near-duplicates with conflicting ages"
