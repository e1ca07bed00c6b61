import pytest
import torch

from adaspec.backbones import OneClassHead
from adaspec.errors import SettingError


def test_one_class_head_measures_the_angle_alone() -> None:
    torch.manual_seed(0)
    head = OneClassHead(16, 2)
    embedding = torch.cat([head.direction[None], -head.direction[None], torch.randn(3, 16)]).detach()
    logits = head(embedding)
    torch.testing.assert_close(logits[:2, 0], torch.tensor([20 * (1 - 0.55), 20 * (-1 - 0.55)]))
    assert (logits[:, 1] == 0).all()
    torch.testing.assert_close(head(7 * embedding), logits)


def test_one_class_head_is_not_rounded_by_autocast() -> None:
    torch.manual_seed(0)
    head, embedding = OneClassHead(16, 2), torch.randn(5, 16)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(head(embedding), head(embedding.double().float()), rtol=0, atol=0)
        assert head(embedding).dtype == torch.float32


def test_one_class_head_tells_two_classes_apart_and_no_more() -> None:
    with pytest.raises(SettingError, match=r"^head=one_class tells two classes apart, got 3; set it to linear$"):
        OneClassHead(16, 3)
