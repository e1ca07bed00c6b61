import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from adaspec.config import SpeakerNetworkConfig
from adaspec.errors import InputError
from adaspec.speakers.network import SpeakerNetwork, load_network, save_network
from adaspec.training.speakers import AngularMargin

CONFIG = SpeakerNetworkConfig(
    n_mels=24,
    widths=(4, 8),
    window_s=0.4,
    epochs=3,
    batch_size=8,
    learning_rate=0.003,
    weight_decay=0.0,
    margin=0.2,
    scale=20.0,
    equalizer_db=0.0,
    noise_snr_db=None,
)


def network() -> SpeakerNetwork:
    torch.manual_seed(0)
    return SpeakerNetwork(8000, 6, CONFIG).eval()


def test_vectors_have_length_one_whatever_the_length_and_level_of_the_recording() -> None:
    noise = 0.1 * torch.randn(3, 8000, generator=torch.Generator().manual_seed(1))
    for n_samples in (400, 3200, 8000):
        found = network()(noise[:, :n_samples])
        assert found.shape == (3, 6)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    # A fixed gain of a channel is taken away with the mean over time.
    torch.testing.assert_close(network()(noise), network()(0.5 * noise), atol=1e-3, rtol=0)
    assert network()(torch.zeros(2, 3200)).isfinite().all()


def test_a_saved_network_is_the_same(tmp_path: Path) -> None:
    save_network(network(), CONFIG, tmp_path)
    waveform = torch.randn(2, 3200)
    loaded = load_network(tmp_path)
    assert torch.equal(loaded(waveform), network()(waveform))
    assert loaded.window_s == 0.4
    (tmp_path / "network.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="holds no speaker network"):
        load_network(tmp_path)
    description = json.loads((tmp_path / "network.json").read_text())
    (tmp_path / "network.json").write_text(json.dumps(description | {"n_dimensions": 10**9}))
    with pytest.raises(InputError, match="holds no speaker network"):
        load_network(tmp_path)
    with pytest.raises(InputError, match=r"network\.json not found"):
        load_network(tmp_path / "none")


def test_angular_margin_is_cross_entropy_after_the_own_angle_was_widened() -> None:
    torch.manual_seed(0)
    loss = AngularMargin(5, 4, scale=10.0)
    vectors, classes = nn.functional.normalize(torch.randn(7, 5)), torch.arange(7) % 4
    directions = nn.functional.normalize(loss.directions).detach().numpy()
    expected = []
    for vector, own in zip(vectors.numpy(), classes.tolist(), strict=True):
        cosines = directions @ vector
        cosines[own] = math.cos(min(math.acos(cosines[own]) + 0.3, math.pi))
        logits = 10 * cosines
        expected.append(np.log(np.exp(logits).sum()) - logits[own])
    assert float(loss(vectors, classes, 0.3).detach()) == pytest.approx(np.mean(expected), rel=1e-5)
    # A vector on its own direction, and one opposite to it, have gradients too.
    ends = torch.stack([torch.tensor(directions[0]), -torch.tensor(directions[1])]).requires_grad_()
    loss(ends, torch.tensor([0, 1]), 0.3).backward()
    assert ends.grad is not None
    assert ends.grad.isfinite().all()
