"""Every representation of the registry, on the contracts of stores that hold it."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from adaspec.errors import InputError, SettingError
from adaspec.features.representation import (
    REPRESENTATIONS,
    LogSpectrogram,
    ReadySpectrogram,
    Representation,
    Waveform,
    representation_of,
)
from adaspec.features.store import FeatureStore, write_shard
from adaspec.features.windows import cut

STFT = {"name": "stft", "n_fft": 256, "hop_length": 80, "n_mels": 20}
FBANK = {"name": "fbank", "frame_length_ms": 25.0, "frame_shift_ms": 10.0, "n_mels": 20}
# A new member of REPRESENTATIONS needs a line here, or the tests below fail.
FRONTENDS: dict[str, dict[str, Any]] = {
    "waveform": {"": None},
    "log_spectrogram": {
        "power": STFT,
        "magnitude": STFT | {"power": 1},
        "three": STFT | {"n_transforms": 3, "window_ratio": 0.5},
        "linear": STFT | {"n_fft": 128, "hop_length": 50, "n_mels": None, "center": False},
        "fbank": FBANK,
        "fbank, normalised": FBANK | {"normalize": True},
    },
}
CASES = [(name, form) for name in REPRESENTATIONS for form in FRONTENDS.get(name, {"missing": None})]


@pytest.fixture(params=CASES, ids=" ".join)
def contract(request: pytest.FixtureRequest) -> dict[str, Any]:
    name, form = request.param
    settings = FRONTENDS[name][form]
    base = {"representation": name, "sample_rate": 8000, "trim_db": None}
    return copy.deepcopy(base if settings is None else base | {"frontend": settings})


@pytest.fixture
def representation(contract: dict[str, Any]) -> Representation:
    return representation_of(contract)


def clip(n_samples: int = 4000, scale: float = 3000.0, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(n_samples, generator=torch.Generator().manual_seed(seed))
    return (scale * noise).clamp(-32768, 32767).short()


def unstored(representation: Representation, samples: torch.Tensor) -> torch.Tensor:
    """What a model would compute with had the clip never been stored."""
    waveform = samples[None].float() / 32768
    if isinstance(representation, LogSpectrogram):
        return representation.frontend.spectrogram(waveform)
    return waveform


def test_every_representation_is_tested() -> None:
    assert set(FRONTENDS) == set(REPRESENTATIONS)


@pytest.mark.parametrize("n_samples", [1, 79, 80, 199, 200, 256, 257, 4000])
def test_encode_gives_as_many_steps_as_length_says(representation: Representation, n_samples: int) -> None:
    stored = representation.encode(clip(n_samples))
    assert stored.ndim == representation.n_dims
    assert stored.numpy().dtype == representation.dtype
    assert stored.is_contiguous()
    assert len(stored) == representation.length(n_samples) >= 1


@pytest.mark.parametrize("scale", [1.0, 300.0, 32767.0])
def test_decode_gives_back_what_was_encoded(representation: Representation, scale: float) -> None:
    samples = clip(scale=scale)
    expected, found = unstored(representation, samples), representation.decode(representation.encode(samples)[None])
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    if representation.domain == "waveform":
        assert torch.equal(found, expected)
        return
    loud = expected > 1e-9
    assert loud.float().mean() > 0.9
    assert (10 * (found / expected)[loud].log10()).abs().max() < 0.07  # dB


def test_a_clip_is_decoded_alike_alone_and_in_a_batch(representation: Representation) -> None:
    stored = torch.stack([representation.encode(clip(scale=scale)) for scale in (1.0, 3000.0, 30_000.0)])
    together = representation.decode(stored)
    for one, expected in zip(stored, together, strict=True):
        assert torch.equal(representation.decode(one[None])[0], expected)


def test_windows_of_a_stored_clip_are_those_of_the_decoded_clip(representation: Representation) -> None:
    stored = representation.encode(clip())
    whole = representation.decode(stored[None])
    windows = representation.decode(torch.stack([stored[3:13], stored[20:30]]))
    assert torch.equal(windows, torch.cat([whole[..., 3:13], whole[..., 20:30]]))


def test_silence_is_kept_finite_and_fills_up_without_being_heard(representation: Representation) -> None:
    nothing = representation.encode(torch.zeros(1000, dtype=torch.int16))
    assert nothing.isfinite().all()
    stored = representation.encode(torch.cat([torch.zeros(1000, dtype=torch.int16), clip(1000)]))
    n_window = len(stored) + 7
    window = cut(stored, 0, n_window, "zeros", representation)
    assert (len(window), window.dtype) == (n_window, stored.dtype)
    for values in (representation.decode(nothing[None]), representation.decode(window[None])[..., -7:]):
        assert values.isfinite().all()
        # Silence as the clip itself has it: below the least of what sounds.
        assert values.abs().max() <= 1e-4 * representation.decode(stored[None]).abs().max()


def test_a_step_is_as_many_samples_as_it_says(representation: Representation) -> None:
    step = representation.samples_per_step
    assert step >= 1
    assert representation.length(4000 + 10 * step) == representation.length(4000) + 10


@pytest.fixture
def folder(contract: dict[str, Any], tmp_path: Path) -> Path:
    """A store of one clip."""
    values = representation_of(contract).encode(clip(3000)).numpy()
    write_shard(tmp_path / "00000.arrow", contract, [("a", values)])
    return tmp_path


def test_a_shard_says_what_it_holds_and_gives_it_back(contract: dict[str, Any], folder: Path) -> None:
    with pa.ipc.open_file(pa.memory_map(str(folder / "00000.arrow"))) as reader:
        assert json.loads(reader.schema.metadata[b"adaspec"]) == contract
    store = FeatureStore(folder, contract)
    assert type(store.representation) is REPRESENTATIONS[contract["representation"]]
    assert torch.equal(store.tensor("a"), store.representation.encode(clip(3000)))


def test_a_reader_with_any_other_setting_refuses(contract: dict[str, Any], folder: Path) -> None:
    others = {key: contract | {key: "other"} for key in contract if key != "frontend"}
    for key in contract.get("frontend", {}):
        others[f"frontend.{key}"] = contract | {"frontend": contract["frontend"] | {key: "other"}}
    others["missing"] = {key: value for key, value in contract.items() if key != "trim_db"}
    others["more"] = contract | {"dither": 1}
    told = {"missing": "trim_db", "more": "dither"}
    for key, other in others.items():
        with pytest.raises(InputError, match="was made with other settings: ") as caught:
            FeatureStore(folder, other)
        assert "\n" not in str(caught.value)
        assert f": {told.get(key, key)}=" in str(caught.value)


def test_a_contract_that_its_front_end_refuses_names_the_setting() -> None:
    wrong = {"representation": "log_spectrogram", "sample_rate": 100, "trim_db": None, "frontend": FBANK}
    with pytest.raises(
        SettingError, match=r"^frame_length_ms=25.0 and frame_shift_ms=1.0 give 2 and 0 samples at 100 Hz"
    ) as caught:
        representation_of(wrong | {"frontend": FBANK | {"frame_shift_ms": 1.0}})
    assert caught.value.setting == "frame_length_ms"


def test_waveforms_are_stored_without_torch() -> None:
    code = "import sys; from adaspec.features.representation import representation_of; "
    code += "representation_of({'representation': 'waveform'}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_spectrograms_that_are_ready_are_left_alone() -> None:
    spectrogram = torch.rand(2, 1, 4, 5)
    assert ReadySpectrogram().decode(spectrogram) is spectrogram
    assert (ReadySpectrogram().domain, Waveform().domain) == ("spectrogram", "waveform")


def test_long_clips_are_encoded_in_portions_to_the_same(
    representation: Representation, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = clip(9001)
    whole = representation.encode(samples)
    for name, value in (("WHOLE", 2000), ("PORTION", 1500), ("MARGIN", 300)):
        monkeypatch.setattr(f"adaspec.features.representation.{name}", value)
    torch.testing.assert_close(representation.encode(samples), whole, rtol=0, atol=2**-9)
