from pathlib import Path
from typing import Any

import pytest
from toydata import changed

from adaspec.config import load_config
from adaspec.errors import InputError
from adaspec.models.check import check_model

PARAMS = load_config(Path(__file__).parents[2] / "params.yaml")


def refusal(**knobs: Any) -> str:
    with pytest.raises(InputError) as caught:
        check_model(changed(PARAMS, **knobs))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_settings_that_come_with_the_repository_are_fine() -> None:
    check_model(PARAMS)


@pytest.mark.parametrize("rate", [None, 22_050])
def test_a_setting_is_refused_under_the_name_of_its_knob(rate: int | None) -> None:
    told = refusal(**{"audio.sample_rate": rate, "frontend.n_fft": 512, "frontend.win_length": 1024})
    assert told == "params.yaml frontend.win_length=1024 exceeds n_fft=512; raise n_fft or lower win_length"


def test_mel_bands_wait_for_the_sample_rate() -> None:
    too_high = {"frontend.mel.f_max": 9000.0}
    assert refusal(**too_high, **{"audio.sample_rate": 16_000}).startswith("params.yaml frontend.mel.f_max=9000.0 ")
    check_model(changed(PARAMS, **too_high, **{"audio.sample_rate": None}))
    check_model(changed(PARAMS, **too_high, **{"audio.sample_rate": None, "frontend.learn_mel": True}))


def test_frames_shorter_than_a_sample_are_refused() -> None:
    told = refusal(**{"frontend.name": "fbank", "audio.sample_rate": 1000, "frontend.fbank.frame_shift_ms": 0.5})
    assert told.startswith("params.yaml frontend.fbank.frame_length_ms=")


def test_backbones_are_checked_too() -> None:
    told = refusal(**{"backbone.name": "ast", "backbone.ast.embed_dim": 25, "backbone.ast.num_heads": 2})
    assert told.startswith("params.yaml backbone.ast.embed_dim=25 ")
