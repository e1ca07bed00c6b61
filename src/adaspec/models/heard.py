"""Which recordings a model was trained on, so that no training that starts from it is tested with them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from adaspec.errors import InputError
from adaspec.runtime.text import one_line

__all__ = ["HEARD", "check_unheard", "read_heard", "write_heard"]

log = logging.getLogger(__name__)

HEARD = "heard.txt"  # one digest a line, in order
N_DIGITS = 16  # of a digest: none of a billion recordings is likely to be taken for another


def write_heard(folder: Path, digests: Iterable[str], before: Iterable[str] = ()) -> None:
    """Write what a model heard in training and validation into its folder.

    Parameters
    ----------
    folder : Path
    digests : iterable of str
        Of recordings, hexadecimal.
    before : iterable of str
        What the model that it started from had heard, from `read_heard`.
    """
    heard = {digest[:N_DIGITS] for digest in digests} | set(before)
    (folder / HEARD).write_text("".join(f"{digest}\n" for digest in sorted(heard)), encoding="ascii")


def read_heard(folder: Path) -> list[str] | None:
    """First digits of the digests that `write_heard` wrote; None where nothing tells.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        return (folder / HEARD).read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / HEARD} cannot be read ({one_line(error)}); copy the models again") from None


def check_unheard(folder: Path, fold: int, digests: Iterable[str]) -> None:
    """Refuse a model to start a fold from that has heard recordings which the fold is tested with.

    Parameters
    ----------
    folder : Path
        Of the model, such as models/fold-1.
    fold : int
    digests : iterable of str
        Of the recordings that the fold is tested with.

    Raises
    ------
    InputError
        It has heard some of them.
    """
    heard = read_heard(folder)
    if heard is None:
        log.warning(
            f"{folder} does not say what it was trained on: whether fold {fold} is tested with that was not checked"
        )
        return
    tested = {digest[:N_DIGITS] for digest in digests}
    if common := len(tested.intersection(heard)):
        raise InputError(
            f"params.yaml train.start: {folder} was trained on {common} of the {len(tested)} recordings that fold "
            f"{fold} is tested with, which would flatter its scores; set seed and split to what they were in that "
            "training, or start from models of other recordings"
        )
