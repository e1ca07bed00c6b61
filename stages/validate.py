"""Check params.yaml as a whole before anything runs on it.

In: params.yaml. Out: nothing; a mistake is told in one line per key.
"""

import os
import sys
from pathlib import Path

from adaspec.backbones import check_backbone
from adaspec.config import HIGHEST_RATE, Config, load_config
from adaspec.datasets.root import check_dataset_root
from adaspec.errors import exit_on_input_error
from adaspec.frontends import check_frontend


def validate(params: Path) -> None:
    config = load_config(params)
    check_dataset_root(config, Path(os.environ.get("DVC_ROOT", ".")))
    check_backbone(config.backbone)
    check_frontend(config if config.audio.sample_rate else at_some_rate(config))


def at_some_rate(config: Config) -> Config:
    """Stand in for a rate that only the clips tell, without what depends on it: the mel bands."""
    audio = config.audio.model_copy(update={"sample_rate": HIGHEST_RATE})
    frontend = config.frontend.model_copy(update={"n_mels": None, "learn_mel": False})
    return config.model_copy(update={"audio": audio, "frontend": frontend})


if __name__ == "__main__":
    with exit_on_input_error():
        validate(*map(Path, sys.argv[1:]))
