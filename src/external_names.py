"""Stage `external_names`: name the sources elsewhere, so that `report` can wait for them.

    python src/external_names.py

Reads  `external` in params.yaml
Writes reports/external/names.yaml, if only to say that there are none
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

from faceage.core import tables
from faceage.core.params import ExternalNamesParams, load
from faceage.core.script import run


def main() -> None:
    """Write the names."""
    tables.write_external_names(load(ExternalNamesParams).external)


if __name__ == "__main__":
    run(main)
