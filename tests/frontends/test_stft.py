"""Before learning, every form gives the numbers of torch.stft, torchaudio and librosa."""

from typing import Any

import numpy as np
import pytest
import torch
import torchaudio
from grids import pairs
from stft_forms import FORMS, LEARN_ALL, RATE, build, cut_frames, deviation, noise, torch_stft
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT

GRID = [
    # n_fft, win_length, hop_length, window, n_samples
    (512, 400, 160, "hann", 1601),
    (512, 401, 512, ("kaiser", 14.0), 3333),
    (512, 500, 700, "nuttall", 4001),
    (256, 1, 64, "boxcar", 1000),
    (64, 63, 7, "blackman", 333),
    (255, 255, 100, "hann", 1001),
    (255, 200, 33, "hamming", 777),
    (401, 401, 160, "hann", 1600),
    (63, 62, 16, ("gaussian", 9.0), 500),
    (5, 4, 2, "boxcar", 31),
    (4, 4, 1, "hann", 9),
    (4, 3, 9, "hamming", 50),
    (3, 3, 1, "hann", 8),
    (2, 2, 1, "boxcar", 7),
]
LARGE = [(1024, 1024, 512, "hann", 5000), (1024, 1000, 160, "hamming", 4001), (2048, 2048, 512, "hann", 6000)]


def assert_spectrogram(layer: AdaptiveSTFT, waveform: Tensor, expected: Tensor) -> None:
    found = layer(waveform).detach()
    assert found.dtype == torch.float32
    for channel in range(layer.n_channels):
        assert deviation(found[:, channel], expected) <= 1e-5


def check_linear(form: str, case: tuple[int, int, int, Any, int], center: bool, power: Any) -> None:
    n_fft, win_length, hop_length, window, n_samples = case
    frame: dict[str, Any] = {"n_fft": n_fft, "win_length": win_length, "hop_length": hop_length}
    frame |= {"window": window, "center": center}
    layer = build(form, **frame, power=power, n_mels=None, compression="none", learn_window=True)
    waveform = noise(2, n_samples)
    assert_spectrogram(layer, waveform, torch_stft(waveform, **frame).abs() ** power)


@pytest.mark.parametrize(("form", "case", "center", "power"), pairs(FORMS, GRID, [False, True], [1, 2]))
def test_stft_power_and_magnitude_equal_torch_stft(form: str, case: Any, center: bool, power: int) -> None:
    check_linear(form, case, center, power)


@pytest.mark.parametrize("case", LARGE, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_stft_large_power_equals_torch_stft(form: str, case: Any) -> None:
    check_linear(form, case, center=True, power=2)


BANDS = [
    # sample_rate, n_fft, win_length, n_mels, f_min, f_max
    (16_000, 512, 400, 40, 0.0, None),
    (22_050, 512, 512, 26, 30.0, 8000.0),
    (8000, 401, 401, 20, 50.0, 3800.0),
]


@pytest.mark.parametrize(
    ("form", "case", "scale", "norm", "center", "power"),
    pairs(FORMS, BANDS, ["htk", "slaney"], [None, "slaney"], [False, True], [1, 2]),
)
def test_stft_mel_equals_torchaudio(
    form: str, case: tuple[int, int, int, int, float, float | None], scale: Any, norm: Any, center: bool, power: Any
) -> None:
    sample_rate, n_fft, win_length, n_mels, f_min, f_max = case
    shared: dict[str, Any] = {"sample_rate": sample_rate, "n_fft": n_fft, "win_length": win_length, "n_mels": n_mels}
    shared |= {"hop_length": 200, "f_min": f_min, "f_max": f_max, "mel_scale": scale, "center": center, "power": power}
    reference = torchaudio.transforms.MelSpectrogram(**shared, norm=norm).double()
    # torchaudio's last bin lies at half the sample rate, which that of an odd n_fft does not reach.
    wide = torchaudio.functional.melscale_fbanks(
        n_fft + 1, f_min, f_max or sample_rate / 2, n_mels, sample_rate, norm, scale
    )
    if n_fft % 2:
        reference.mel_scale.fb = wide[::2].double()
    else:
        torch.testing.assert_close(wide[::2].double(), reference.mel_scale.fb, rtol=0, atol=1e-5)
    waveform = noise(2, 3001)
    layer = build(form, **shared, mel_norm=norm, compression="none", **LEARN_ALL)
    assert_spectrogram(layer, waveform, reference(waveform.double()))


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("form", FORMS)
def test_stft_db_equals_torchaudio(form: str, power: Any) -> None:
    shared: dict[str, Any] = {"n_fft": 512, "hop_length": 200, "n_mels": 30, "power": power}
    mel = torchaudio.transforms.MelSpectrogram(RATE, norm=None, mel_scale="htk", **shared)
    # 10 log10(max(E, 1e-10)), of magnitudes 20 log10
    decibels = torchaudio.transforms.AmplitudeToDB("power" if power == 2 else "magnitude", top_db=None)
    waveform = noise(2, 4000)
    if power == 2:  # silence is at the floor; in a magnitude it is at 1e-6 already
        waveform[1, 1500:] = 0
    expected = decibels(mel(waveform))
    assert (expected == -100).any() == (power == 2)
    assert_spectrogram(build(form, **shared, compression="db", gamma=1e10), waveform, expected)


@pytest.mark.parametrize("n_mels", [None, 20])
@pytest.mark.parametrize("gamma", [1.0, 1e6])
@pytest.mark.parametrize(("compression", "divisor"), [("log10", np.log(10)), ("log1p", 1.0)])
def test_stft_compression_is_the_logarithm_of_one_plus_scaled_power(
    n_mels: int | None, gamma: float, compression: str, divisor: float
) -> None:
    settings: dict[str, Any] = {"n_fft": 256, "hop_length": 100, "n_mels": n_mels}
    waveform = noise(2, 1500)
    power = build("fft", **settings, compression="none")(waveform).double()
    found = build("fft", **settings, compression=compression, gamma=gamma)(waveform)
    torch.testing.assert_close(found.double(), (1 + gamma * power).log() / divisor, rtol=1e-5, atol=1e-6)


# 1500 samples at 8 kHz: a tone, a rising one, an impulse. Made by librosa 0.11.0 (numpy 2.4.6, scipy 1.17.1), in a
# virtual environment of its own (`pip install librosa==0.11.0`), with
#   frame = dict(n_fft=256, win_length=200, hop_length=128, window="hann", center=True, pad_mode="reflect")
#   librosa.stft(x, **frame, dtype=complex)[np.ix_([0, 1, 14, 60, 128], [0, 5, 11])]
#   librosa.feature.melspectrogram(y=x, sr=8000, **frame, n_mels=8, fmin=50.0, fmax=3800.0, htk=htk, power=power,
#                                  norm=None if htk else "slaney")[:, [0, 5, 11]]
LIBROSA_FRAMES = [0, 5, 11]
LIBROSA_BINS = [0, 1, 14, 60, 128]
LIBROSA_STFT = [
    [6.7020477, 3.4541419e-01, 3.2426723e-02],
    [-6.8270400, -3.2335668e-02 + 3.4151874e-01j, 2.2390516e-02 + 3.1310293e-02j],
    [4.5949949e-01, 2.3649470e01 - 8.0449131j, 9.1976504 + 2.3164407e01j],
    [-2.5393578e-01, 3.3727513e-01 - 1.3737958e-01j, -9.6713252e-04 + 2.0618682e-03j],
    [-1.1087740e-01, 3.4548225e-01, 1.1537100e-02],
]
LIBROSA_MEL = {
    # (htk, power) -> mels x frames, and the maximum of all frames
    (True, 2): (
        1213.4173382755546,
        [
            [3.8026700e02, 1.5659560e01, 1.4266350e01],
            [7.8722596e02, 1.0639926e03, 1.0610304e03],
            [2.1050845e02, 1.2294603e02, 1.2470176e02],
            [1.2563033e01, 1.5068650e00, 2.6370475e-03],
            [3.3449185e00, 2.8397898e02, 6.1106484e-04],
            [1.3024921e00, 1.4206476e02, 1.2392539e-04],
            [6.4852777e-01, 2.3162265e00, 8.3765203e00],
            [4.1512712e-01, 2.8226963e00, 4.0168690e02],
        ],
    ),
    (True, 1): (
        74.94018056461903,
        [
            [4.3407974e01, 3.5611075e00, 1.9110059e00],
            [6.3448677e01, 5.7980807e01, 5.7374477e01],
            [3.1924997e01, 1.0017444e01, 7.9515686e00],
            [1.0878958e01, 3.8428996e00, 1.5645978e-01],
            [6.3817445e00, 4.3566893e01, 8.3694906e-02],
            [4.4556319e00, 2.4638769e01, 4.1644338e-02],
            [3.5016384e00, 6.6992199e00, 2.3969023e00],
            [3.1169544e00, 8.1701123e00, 5.9427696e01],
        ],
    ),
    (False, 2): (
        3.327494620235588,
        [
            [2.6271207e00, 2.1162206e00, 2.0990009e00],
            [2.4206625e00, 2.7031189e00, 2.7126788e00],
            [1.1943843e-01, 3.8623230e-03, 4.1619581e-05],
            [2.2281021e-02, 6.8622793e-03, 4.6423522e-06],
            [7.1028755e-03, 8.3880702e-01, 1.2283738e-06],
            [2.6500527e-03, 2.8195910e-01, 2.4843725e-07],
            [1.1248944e-03, 3.8230426e-03, 3.0205000e-03],
            [5.7765704e-04, 3.8209372e-03, 5.1024687e-01],
        ],
    ),
    (False, 1): (
        0.24998581920861335,
        [
            [2.4998582e-01, 1.2432036e-01, 1.1742145e-01],
            [2.2540419e-01, 1.5453058e-01, 1.5127556e-01],
            [5.6705330e-02, 1.1102718e-02, 9.3340639e-04],
            [2.5884404e-02, 1.2713522e-02, 3.7258769e-04],
            [1.4739029e-02, 1.2557650e-01, 1.8887954e-04],
            [9.0491521e-03, 4.9299704e-02, 8.4398228e-05],
            [5.9250026e-03, 1.1057929e-02, 1.7172548e-03],
            [4.2745750e-03, 1.1059454e-02, 7.6351204e-02],
        ],
    ),
}
LIBROSA_FRAME: dict[str, Any] = {"n_fft": 256, "win_length": 200, "hop_length": 128, "sample_rate": 8000}


def librosa_clip() -> Tensor:
    t = np.arange(1500) / 8000
    clip = 0.5 * np.sin(2 * np.pi * 440 * t) + 0.3 * np.sin(2 * np.pi * (200 + 8000 * t) * t)
    clip[700] += 1
    return torch.from_numpy(clip)[None]


@pytest.mark.parametrize("form", FORMS)
def test_stft_filters_give_the_spectrum_of_librosa(form: str) -> None:
    layer = build(form, **LIBROSA_FRAME, n_mels=None)
    frames = cut_frames(librosa_clip(), 256, 128, center=True)
    found = torch.einsum("bfn,tkn->btkf", frames.to(torch.complex64), layer.filters().detach())
    for channel in found[0]:
        chosen = channel[LIBROSA_BINS][:, LIBROSA_FRAMES]
        assert float((chosen - torch.tensor(LIBROSA_STFT)).abs().max() / channel.abs().max()) <= 1e-5


@pytest.mark.parametrize(("htk", "power"), LIBROSA_MEL)
@pytest.mark.parametrize("form", FORMS)
def test_stft_mel_equals_librosa(form: str, htk: bool, power: Any) -> None:
    kind: dict[str, Any] = {"mel_scale": "htk"} if htk else {"mel_scale": "slaney", "mel_norm": "slaney"}
    layer = build(form, **LIBROSA_FRAME, **kind, power=power, n_mels=8, f_min=50.0, f_max=3800.0, compression="none")
    maximum, expected = LIBROSA_MEL[htk, power]
    found = layer(librosa_clip().float()).detach()[0]
    assert found.shape == (layer.n_channels, 8, 12)
    assert found.max().item() == pytest.approx(maximum, rel=1e-5)
    for channel in found:
        assert (channel[:, LIBROSA_FRAMES] - torch.tensor(expected)).abs().max() <= 1e-5 * maximum
