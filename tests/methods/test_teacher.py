"""The teacher of APC by hand: what it averages, what it sees, and that its slips are seen."""

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from apc import data
from apc.config import Config
from apc.methods import losses
from apc.methods.affinity import Levels
from apc.methods.apc import APC
from apc.methods.base import Workplace
from apc.methods.pseudo_labels import level_labels, with_background
from apc.methods.registry import build
from apc.methods.teacher import Teacher

LABELS = torch.tensor([[1.0, 0.0], [1.0, 1.0]])


def test_a_teacher_keeps_half_of_what_it_was_over_its_half_life_and_starts_as_the_student() -> None:
    student = nn.Linear(1, 1, bias=False)
    teacher, seen = Teacher(student, half_life=2.0), []
    for weight in (8.0, 0.0, 0.0, 0.0, 0.0):  # after its first step the student is 8, then 0
        nn.init.constant_(student.weight, weight)
        teacher.follow(student)
        seen.append(teacher.method.weight.item())  # type: ignore[union-attr,operator]
    assert seen == pytest.approx([8, 8 / 2**0.5, 4, 4 / 2**0.5, 2])
    assert not any(p.requires_grad for p in teacher.average.parameters())


def test_a_teacher_has_the_running_statistics_of_its_student() -> None:
    student = nn.BatchNorm1d(1)
    teacher = Teacher(student, half_life=100.0)
    for mean in (1.0, 5.0):
        assert student.running_mean is not None
        student.running_mean.fill_(mean)
        teacher.follow(student)
    assert teacher.method.running_mean.item() == 5  # type: ignore[union-attr,operator]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        # the first class's map is brought from .1, .3, .5 to 0, .5, 1, the second's from .2, .1, 0 to 1, .5, 0
        ([1, 1], [[2, 255, 1]] * 3),
        ([1, 0], [[0, 255, 1]] * 3),  # what is not in the picture wins nothing, as strong as it is
        ([0, 1], [[2, 255, 0]] * 3),
        ([0, 0], [[0, 0, 0]] * 3),
    ],
)
def test_levels_leave_out_what_is_neither_object_nor_background(labels: list[int], expected: list[list[int]]) -> None:
    maps = torch.tensor([[0.7, 0.6, 0.5], [0.1, 0.3, 0.5], [0.2, 0.1, 0.0]])[:, None].expand(-1, 3, -1)
    found = level_labels(maps[None], torch.tensor([labels]), Levels(0.7, 0.25), (3, 3))
    assert found.tolist() == [expected]


@pytest.fixture
def taught(tiny: Config) -> APC:
    """A method with a teacher before the first step."""
    cfg = replace(tiny, teacher=0.25, seg_stride=8, dropout=0.5, decoder_dropout=0.5)
    torch.manual_seed(0)
    method = cast(APC, build(cfg, 3)).train()
    method.begin(0, data.load(cfg, "train"), Workplace())
    return method


def shown() -> dict[str, Tensor]:
    """Two images in colours of the student's and in their own."""
    torch.manual_seed(1)
    return {"image": torch.rand(2, 3, 96, 96), "plain": torch.rand(2, 3, 96, 96), "labels": LABELS}


def test_the_decoder_learns_what_the_teacher_says_of_the_plain_image_without_dropout(
    taught: APC, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, assigned = shown(), []
    assert taught.teacher is not None
    teacher = cast(APC, taught.teacher.method)
    nn.init.normal_(teacher.classifier.weight)
    _, log_scores, _ = teacher.branches(batch["plain"])
    masked = log_scores.exp() * torch.tensor([[1.0, 1, 0], [1, 1, 1]])[:, None]
    expected = masked.argmax(-1).unflatten(1, (12, 12))
    plain = losses.segmentation
    monkeypatch.setattr(losses, "segmentation", lambda logits, label: assigned.append(label) or plain(logits, label))
    terms = taught.loss_terms(batch, 0.5)
    assert torch.equal(assigned[0], expected) and terms["seg"].requires_grad


@pytest.mark.parametrize("teacher", [0.0, 0.25])
def test_the_patches_learn_from_the_decoder_and_from_the_teacher_s_where_there_is_one(
    tiny: Config, teacher: float
) -> None:
    torch.manual_seed(0)
    cfg = replace(tiny, teacher=teacher, swap=0.07)
    method, batch = cast(APC, build(cfg, 3)).eval(), shown()
    method.begin(0, data.load(cfg, "train"), Workplace())
    source, seen = (cast(APC, method.teacher.method), "plain") if method.teacher else (method, "image")
    nn.init.normal_(method.classifier.weight)
    nn.init.normal_(next(source.decoder.parameters()))
    _, log_scores, _ = method.branches(batch["image"])
    decoded = source.decoder(source.branches(batch[seen])[2])
    expected = losses.swapped(log_scores, decoded, with_background(LABELS))
    torch.testing.assert_close(method.loss_terms(batch if teacher else shown_alone(batch), 0.5)["swap"], expected)
    assert method.weights["swap"] == 0.07


def shown_alone(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch of a method without a teacher."""
    return {name: tensor for name, tensor in batch.items() if name != "plain"}


def test_what_is_nan_in_a_teacher_is_nan_in_the_loss(taught: APC) -> None:
    assert taught.teacher is not None
    teacher = cast(APC, taught.teacher.method)
    assert taught.loss_terms(shown(), 0.5)["seg"].isfinite()
    nn.init.constant_(teacher.classifier.weight, float("nan"))
    terms = taught.loss_terms(shown(), 0.5)
    assert terms["seg"].isnan() and terms["mce"].isfinite()


def test_a_teacher_follows_every_step_and_is_no_part_of_the_model(taught: APC) -> None:
    assert taught.teacher is not None
    assert list(taught.state_dict()) == list(build(replace(taught.cfg, teacher=0.0), 3).state_dict())
    teacher = cast(APC, taught.teacher.method)
    taught.stepped()
    nn.init.zeros_(taught.classifier.weight)
    before = teacher.classifier.weight.clone()
    taught.stepped()
    # 32 images in batches of 8, 2 epochs: 8 steps, of which a quarter halves
    torch.testing.assert_close(teacher.classifier.weight, before * 0.5 ** (1 / 2))
    taught.begin(1, [], Workplace())  # type: ignore[arg-type]
    assert cast(APC, taught.teacher.method) is teacher


def test_other_methods_refuse_a_teacher(tiny: Config) -> None:
    with pytest.raises(ValueError, match="teacher is 0.1; it is of apc, and for method toco must be 0"):
        build(replace(tiny, method="toco", teacher=0.1), 3)
    with pytest.raises(ValueError, match="level_low is 0.8; it cannot exceed level_high, 0.7"):
        replace(tiny, level_low=0.8)
    with pytest.raises(ValueError, match="swap is 0.05; .* learns nothing, as lambda1 is 0"):
        replace(tiny, swap=0.05, lambda1=0.0)
