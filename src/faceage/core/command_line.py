"""What scripts say of themselves: answered before their other imports, which take seconds."""

import argparse

MODEL_HELP = (
    "folder of a model; default: models/, or pretrained/ where that has none of photographs"
)


def no_options(doc: str | None) -> None:
    """Of a script that takes no options: answer --help with its docstring, refuse anything else."""
    argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
