from typing import Any

import pandas as pd
import pytest

from adaspec.config import AugmentConfig, Config
from adaspec.config.resolve import resolve
from adaspec.errors import InputError
from adaspec.features.windows import even_starts, window_samples


def clips(n: int = 3, **columns: Any) -> pd.DataFrame:
    table = pd.DataFrame({"n_samples": [16_000] * n, "sample_rate": 16_000, "fold": "", "subset": ""})
    return table.assign(**columns)


@pytest.fixture
def open_params(params: dict[str, Any]) -> dict[str, Any]:
    """Everything that can be null is."""
    params["audio"]["sample_rate"] = None
    params["features"]["window"]["length_s"] = None
    params["split"]["scheme"] = None
    return params


def test_resolve_takes_the_rate_of_the_clips(open_params: dict[str, Any]) -> None:
    assert resolve(Config.model_validate(open_params), clips()).audio.sample_rate == 16_000


def test_resolve_refuses_mixed_rates_and_names_them(open_params: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        resolve(Config.model_validate(open_params), clips(sample_rate=[44_100, 8_000, 44_100]))
    assert "2 rates (8000 Hz, 44100 Hz); set the rate that all are resampled to" in str(caught.value)


def test_resolve_accepts_mixed_rates_where_one_is_set(open_params: dict[str, Any]) -> None:
    open_params["audio"]["sample_rate"] = 22_050
    config = resolve(Config.model_validate(open_params), clips(sample_rate=[44_100, 8_000, 44_100]))
    assert config.audio.sample_rate == 22_050


def test_resolve_takes_the_median_clip_for_the_window(open_params: dict[str, Any]) -> None:
    open_params["audio"]["sample_rate"] = 22_050
    table = clips(n_samples=[8_000, 88_200, 1_600_000], sample_rate=[8_000, 44_100, 16_000])  # 1, 2 and 100 s
    assert resolve(Config.model_validate(open_params), table).features.window.length_s == pytest.approx(2.0)
    enrolment = clips(5, use="enrolment")
    table = pd.concat([enrolment, table.assign(use="trial")])
    assert resolve(Config.model_validate(open_params), table).features.window.length_s == pytest.approx(2.0)


@pytest.mark.parametrize("n_parts", [1, 3, 4, 6, 12])
def test_resolve_divides_the_median_clip_into_parts(open_params: dict[str, Any], n_parts: int) -> None:
    open_params["audio"]["sample_rate"] = 16_000
    open_params["features"]["window"]["n_parts"] = n_parts
    config = resolve(Config.model_validate(open_params), clips(n_samples=480_000))
    assert config.features.window.length_s == pytest.approx(30 / n_parts, abs=1e-3)
    assert config.features.window.n_parts == 1  # done: what is resolved again stays
    assert config.features.window.length_s is not None
    n_window = window_samples(config.features.window.length_s, 16_000)
    for n_clip in (480_000, 479_000, 484_000):  # excerpts differ by a moment
        assert len(even_starts(n_clip, n_window, 0.0)) == n_parts


def test_resolve_switches_all_augmentation_off(params: dict[str, Any]) -> None:
    params["augment"] |= {"enabled": False, "time_shift": 0.5}
    params["augment"]["noise"]["snr_db"] = [5.0, 10.0]
    assert resolve(Config.model_validate(params), clips()).augment == AugmentConfig.off()
    params["augment"]["enabled"] = True
    assert resolve(Config.model_validate(params), clips()).augment.time_shift == 0.5


def test_resolve_gives_a_usable_window_for_the_shortest_clips(open_params: dict[str, Any]) -> None:
    window_s = resolve(Config.model_validate(open_params), clips(n_samples=1)).features.window.length_s
    assert window_s is not None
    assert window_s > 0


@pytest.mark.parametrize(
    ("columns", "scheme"),
    [
        ({"fold": ["1", "2", "1"]}, "predefined"),
        ({"subset": ["train", "dev", "eval"]}, "official"),
        ({}, "group_kfold"),
        ({"fold": ["1", "2", "1"], "subset": ["train", "dev", "eval"]}, "predefined"),
    ],
)
def test_resolve_takes_the_scheme_that_the_data_set_brings(
    open_params: dict[str, Any], columns: dict[str, list[str]], scheme: str
) -> None:
    assert resolve(Config.model_validate(open_params), clips(**columns)).split.scheme == scheme


def test_resolve_leaves_what_is_set(open_params: dict[str, Any]) -> None:
    open_params["audio"]["sample_rate"] = 8_000
    open_params["features"]["window"]["length_s"] = 0.5
    open_params["split"]["scheme"] = "group_kfold"
    given = Config.model_validate(open_params)
    assert resolve(given, clips(fold=["1", "2", "1"])) == given


def test_resolve_changes_nothing_but_nulls(open_params: dict[str, Any]) -> None:
    given = Config.model_validate(open_params)
    resolved = resolve(given, clips())
    assert given.audio.sample_rate is None  # the input is left alone
    assert resolved.model_dump(exclude={"audio", "features", "split"}) == given.model_dump(
        exclude={"audio", "features", "split"}
    )
    assert resolved.features.window.pad == given.features.window.pad
    assert resolved.split.n_folds == given.split.n_folds


def test_resolve_refuses_a_rate_that_no_setting_could_name(open_params: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"audio\.sample_rate is null, and the clips have 500 Hz: "):
        resolve(Config.model_validate(open_params), clips(sample_rate=500))


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (["train", "dev"], "these are dev and train only, without eval"),
        (["dev", "eval"], "these are dev and eval only, without train"),
        (["dev", "dev"], "these are dev only, without train and eval"),
    ],
)
def test_resolve_says_that_null_took_parts_that_are_incomplete(
    open_params: dict[str, Any], parts: list[str], told: str
) -> None:
    with pytest.raises(InputError) as caught:
        resolve(Config.model_validate(open_params), clips(len(parts), subset=parts))
    assert str(caught.value).startswith("params.yaml split.scheme is null, which takes the parts that the data set ")
    assert told in str(caught.value)
    assert "or set split.scheme=group_kfold" in str(caught.value)
    open_params["split"]["scheme"] = "group_kfold"
    assert resolve(Config.model_validate(open_params), clips(len(parts), subset=parts)).split.scheme == "group_kfold"
