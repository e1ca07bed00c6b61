"""Re-synthesis of bona fide speech, as further attacks to train against."""

from adaspec.tasks.spoofing.resynthesis.arithmetic import shortest
from adaspec.tasks.spoofing.resynthesis.families import FAMILIES
from adaspec.tasks.spoofing.resynthesis.replace import copy_by, replace_spoofs, resynthesize

__all__ = ["FAMILIES", "copy_by", "replace_spoofs", "resynthesize", "shortest"]
