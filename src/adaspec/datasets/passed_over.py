"""Files that a data set's reader passes over: told with counts, and refused where a whole class would vanish."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from adaspec.errors import InputError

__all__ = ["PassedOver"]

log = logging.getLogger(__name__)

N_NAMED = 8  # suffixes or folders named in a message
# Sound, or video with sound, of formats that no reader takes.
OTHER_AUDIO = frozenset(
    {".3gp", ".aac", ".ac3", ".aifc", ".alac", ".amr", ".ape", ".avi", ".caf", ".dff", ".dsf", ".flv", ".m4a", ".m4b"}
    | {".mka", ".mkv", ".mov", ".mp2", ".mp4", ".mpc", ".mpeg", ".mpg", ".ra", ".rf64", ".sph", ".spx", ".tta", ".voc"}
    | {".w64", ".webm", ".wma", ".wv"}
)


class PassedOver:
    """Counts files by class, as a reader walks over them.

    Parameters
    ----------
    root : Path
        Of the data set.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.read, self.passed = root, Counter[str](), dict[str, Counter[str]]()

    def count(self, label: str, path: Path, *, read: bool) -> None:
        """Count a file of a class that is read, or passed over."""
        if read:
            self.read[label] += 1
        else:
            self.passed.setdefault(label, Counter())[path.suffix.lower() or "without suffix"] += 1

    def tell(self, labels: list[str]) -> None:
        """Say what was passed over.

        Parameters
        ----------
        labels : list of str
            Classes that there are folders of.

        Raises
        ------
        InputError
            A class is left without a file, and those that were passed over are audio by their suffix.
        """
        vanished = [label for label in labels if not self.read[label]]
        told = {label: self._suffixes(label) for label in labels}
        lost = [label for label in vanished if OTHER_AUDIO & self.passed.get(label, Counter()).keys()]
        if lost:
            shown = [f"{label} ({told[label]})" for label in lost[:N_NAMED]]
            raise InputError(
                f"{self.root}: {', '.join(shown)}: classes without a file that can be read; convert their files to WAV "
                "or FLAC, or move the folders away"
            )
        for label in labels:
            unread = sum(self.passed.get(label, Counter())[suffix] for suffix in OTHER_AUDIO)
            if label in vanished:
                log.warning("%s holds no audio file (%s), so it is no class", self.root / label, told[label] or "empty")
            elif unread:
                n_files = unread + self.read[label]
                log.warning(
                    "%s: %s of %s audio files cannot be read and are passed over (%s)",
                    *(self.root / label, unread, n_files, told[label]),
                )
        others = sum((self.passed.get(label, Counter()) for label in labels), Counter[str]())
        if n_others := sum(n for suffix, n in others.items() if suffix not in OTHER_AUDIO):
            log.info("%s: passed over %s files that are no audio by their suffix", self.root, n_others)

    def _suffixes(self, label: str) -> str:
        """How many files of each suffix were passed over, the most frequent first."""
        counts = self.passed.get(label, Counter())
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{n} {suffix}" for suffix, n in ranked[:N_NAMED])
