import torch
from adaspec.backbones.one_class import OneClassHead


def test_one_class_head_measures_the_angle_alone() -> None:
    torch.manual_seed(0)
    head = OneClassHead(16)
    embedding = torch.cat([head.direction[None], -head.direction[None], torch.randn(3, 16)]).detach()
    logits = head(embedding)
    torch.testing.assert_close(logits[:2, 0], torch.tensor([20 * (1 - 0.55), 20 * (-1 - 0.55)]))
    assert (logits[:, 1] == 0).all()
    torch.testing.assert_close(head(7 * embedding), logits)


def test_one_class_head_is_not_rounded_by_autocast() -> None:
    torch.manual_seed(0)
    head, embedding = OneClassHead(16), torch.randn(5, 16)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(head(embedding), head(embedding.double().float()), rtol=0, atol=0)
        assert head(embedding).dtype == torch.float32
