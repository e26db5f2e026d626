"""What a benchmark is given on its command line."""

import argparse


def asked(doc: str | None, *names: str) -> list[str]:
    """The values that stand behind the command, one for each name; `doc` has what it is for."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    for name in names:
        parser.add_argument(name)
    values = parser.parse_args()
    return [getattr(values, name) for name in names]
