"""What layers refuse is told with the name of the knob, before anything runs."""

from typing import Any

import pytest

from adaspec.config import Config
from adaspec.config.knobs import overlaid
from adaspec.errors import InputError
from adaspec.models.check import check_model


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"frontend.win_length": 2048, "frontend.n_fft": 1024},
            "frontend.win_length=2048 exceeds n_fft=1024; raise n_fft or lower win_length",
        ),
        (
            {"frontend.mel.f_min": 500.0, "frontend.mel.f_max": 500.0},
            "frontend.mel.f_min=500.0 must be at least 0 and below the highest frequency, 500.0 Hz",
        ),
        (
            {"frontend.mel.f_max": 8000.0, "audio.sample_rate": 8000},
            "frontend.mel.f_max=8000.0 exceeds half of the sample rate, 4000.0 Hz; lower it or set it to null",
        ),
        (
            {"frontend.mel.f_min": 4000.0, "audio.sample_rate": 8000},
            "frontend.mel.f_min=4000.0 must be at least 0 and below the highest frequency, 4000.0 Hz",
        ),
        (
            {"frontend.mel.n_mels": 512, "frontend.n_fft": 256},
            "frontend.mel.n_mels=512 leaves ",
        ),
        (
            {"frontend.learn_mel": True, "frontend.mel.n_mels": None},
            "frontend.learn_mel=True needs mel bands, but there are none; set n_mels",
        ),
        (
            {
                "frontend.learn_kernels": True,
                "frontend.kernels.form": "banded",
                "frontend.kernels.precision": "bf16",
            },
            "frontend.kernels.precision=bf16 is not for banded kernels; set it to 32, or the kernels' form to dense",
        ),
        (
            {
                "frontend.learn_kernels": True,
                "frontend.kernels.form": "banded",
                "frontend.kernels.constraint": "unit_norm",
            },
            "frontend.kernels.constraint=unit_norm is not for banded kernels; set it to free, or the kernels' form to ",
        ),
        (
            {"frontend.learn_kernels": True, "frontend.kernels.form": "banded", "frontend.kernels.band_width": 4},
            "frontend.kernels.band_width=4 must be odd (a bin and as many neighbours on either side) and at most 513",
        ),
        (
            {"frontend.learn_kernels": True, "frontend.n_fft": 16_384},
            "frontend.n_fft=16384 makes 16384^2 kernel values, above 8192^2; lower n_fft, or learn banded",
        ),
        (
            {
                "frontend.learn_kernels": True,
                "frontend.kernels.form": "parametric",
                "frontend.kernels.constraint": "orthonormal",
            },
            "frontend.kernels.constraint=orthonormal is not for parametric kernels; set it to free, or the kernels' ",
        ),
        (
            {"frontend.learn_kernels": True, "frontend.learn_length": True, "frontend.kernels.form": "parametric"},
            "frontend.learn_length=True is learned with parametric kernels already, for every bin; switch one of the ",
        ),
        (
            {"frontend.learn_length": True, "frontend.length_groups": 65, "frontend.mel.n_mels": 64},
            "frontend.length_groups=65 must be from 1 to 64, the number of mel bands",
        ),
        (
            {"frontend.mel.scale": "log", "frontend.mel.f_min": 0.0},
            "frontend.mel.f_min=0.0 must be above 0 Hz on the scale log",
        ),
        (
            {"frontend.learn_mel": True, "frontend.n_fft": 256, "frontend.win_length": 256, "frontend.mel.n_mels": 47},
            "frontend.mel.n_mels=47 makes bands narrower than the ",
        ),
        (
            {"frontend.learn_window": True, "frontend.window_nonnegative": True, "frontend.window": "flattop"},
            "frontend.window='flattop' of length 1024 is not what window_nonnegative=True",
        ),
        *(
            ({"frontend.window": window}, f"frontend.window={shown} is not a window of scipy.signal.get_window")
            for window, shown in (
                ("hannn", "'hannn'"),
                ("kaiser", "'kaiser'"),
                (["kaiser", "a"], "('kaiser', 'a')"),
                (["kaiser", 1.0e9], "('kaiser', 1000000000.0)"),  # values that are no numbers
            )
        ),
        (
            {"frontend.name": "fbank", "frontend.fixed.fbank.frame_length_ms": 0.05},
            "frontend.fixed.fbank.frame_length_ms=0.05 and frame_shift_ms=10.0 give 1 and 220 samples at 22050 Hz",
        ),
        (
            {"features.window.length_s": 3600.0},
            "features.window.length_s=3600 makes windows of 79380000 samples at 22050 Hz, more than 16777216; lower it",
        ),
        ({"backbone.name": "resnt"}, "backbone.name=resnt is no backbone; did you mean resnet?"),
        ({"backbone.name": "x"}, "backbone.name=x is no backbone; known: cnn, resnet, resnet18, ast and timm:NAME"),
        ({"backbone.name": "timm:resnt18"}, "backbone.name=timm:resnt18: timm "),
        (
            {"audio.sample_rate": None, "frontend.mel.f_min": 9000.0, "frontend.mel.f_max": 100.0},
            "frontend.mel.f_min=9000.0 must be at least 0 and below the highest frequency, 100.0 Hz",
        ),
        (
            {"audio.sample_rate": None, "frontend.mel.n_mels": None, "frontend.learn_mel": True},
            "frontend.learn_mel=True needs mel bands, but there are none; set n_mels",
        ),
        (
            {"backbone.name": "ast", "backbone.ast.embed_dim": 100, "backbone.ast.num_heads": 6},
            "backbone.ast.embed_dim=100 must be a multiple of num_heads=6",
        ),
        (
            {"backbone.name": "ast", "backbone.ast.patch_size": 8, "backbone.ast.patch_stride": 9},
            "backbone.ast.patch_stride=9 would leave gaps between patches of patch_size=8",
        ),
        (
            {"backbone.resnet.widths": [16], "backbone.resnet.stem_block": False},
            "backbone.resnet.stem_block=false leaves the one width of widths=[16] no block; give two widths or more",
        ),
    ],
)
def test_check_names_the_knob(params: dict[str, Any], changes: dict[str, Any], line: str) -> None:
    config = Config.model_validate(overlaid(params, changes))
    with pytest.raises(InputError) as caught:
        check_model(config)
    assert str(caught.value).startswith(f"params.yaml {line}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"frontend.win_length": 1024, "frontend.n_fft": 1024},
        {"frontend.mel.f_max": 4000.0, "audio.sample_rate": 8000},
        {"frontend.mel.f_max": 96_000.0, "audio.sample_rate": None},  # judged when the rate is known
        {"frontend.n_fft": 16_384, "frontend.learn_kernels": True, "frontend.kernels.form": "banded"},
        {"frontend.window": ["kaiser", 14.0]},
        {"backbone.name": "cnn"},
        {"backbone.name": "ast", "backbone.ast.patch_size": 9, "backbone.ast.patch_stride": 9},
        {"backbone.name": "timm:resnet18"},
    ],
)
def test_check_accepts_what_fits_together(params: dict[str, Any], changes: dict[str, Any]) -> None:
    check_model(Config.model_validate(overlaid(params, changes)))
