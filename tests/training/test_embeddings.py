"""What the heads of backbones take is noted as it is taken."""

from typing import Any

import pytest
import torch
from torch import nn
from toydata import small_config

from adaspec.backbones import build_backbone
from adaspec.errors import InputError
from adaspec.training.embeddings import head_inputs

SIZES: dict[str, Any] = {"n_channels": 1, "n_features": 64, "n_frames": 64, "n_classes": 2}


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("claim", ["none", "film"])
def test_head_inputs_are_what_the_logits_are_made_of(n_members: int, claim: str, tmp_path: Any) -> None:
    if n_members > 1 and claim != "none":
        pytest.skip("claims are for one network")
    settings = small_config(tmp_path).backbone.model_copy(update={"members": n_members, "claim": claim})
    backbone = build_backbone(settings, **SIZES, n_claimed=4 if claim != "none" else 0).eval()
    inputs = (torch.randn(5, 1, 64, 64), *([torch.randn(5, 4)] if claim != "none" else []))
    with head_inputs(backbone) as noted:
        logits = backbone(*inputs)
    members = list(backbone.members) if n_members > 1 else [backbone]
    assert len(noted) == n_members
    heads = torch.stack([member.head(each) for member, each in zip(members, noted, strict=True)])
    torch.testing.assert_close(heads if n_members > 1 else heads[0], logits)
    backbone(*inputs)
    assert len(noted) == n_members  # afterwards nothing is noted any more


def test_head_inputs_of_several_heads_are_refused() -> None:
    backbone = nn.Linear(2, 2)
    backbone.head = (nn.Linear(2, 2), nn.Linear(2, 2))  # type: ignore[assignment]
    with pytest.raises(InputError, match="several heads"), head_inputs(backbone):
        pass
