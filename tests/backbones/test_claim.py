import pytest
import torch

from adaspec.backbones import CLAIMS, CNN, Claiming


def claiming(name: str) -> Claiming:
    torch.manual_seed(0)
    backbone = CNN(n_channels=1, n_features=16, n_frames=32, n_classes=2, dropout=0.0)
    return Claiming(backbone, CLAIMS[name](backbone.num_features, 5)).eval()


@pytest.mark.parametrize("name", CLAIMS)
def test_the_claim_decides_beside_the_spectrogram(name: str) -> None:
    model, spectrogram = claiming(name), torch.randn(3, 1, 16, 32)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    vectors = torch.nn.functional.normalize(torch.randn(3, 5))
    model(spectrogram, vectors).square().sum().backward()
    optimizer.step()
    assert all(parameter.grad is not None for parameter in model.claim.parameters())
    found = model(spectrogram, vectors)
    assert found.shape == (3, 2)
    assert not torch.allclose(found, model(spectrogram, vectors.flip(0)), atol=1e-4)
    torch.testing.assert_close(model(spectrogram[1:], vectors[1:]), found[1:])


def test_film_starts_as_the_backbone_alone() -> None:
    model, spectrogram = claiming("film"), torch.randn(3, 1, 16, 32)
    assert torch.equal(model(spectrogram, torch.randn(3, 5)), model.backbone(spectrogram))
