"""ToCo's two token contrasts and the crops of the second (method-spec 3).

Shapes: B images, N patches, D features, V views of an image, S side in pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from apc.methods.affinity import Levels


def patch_contrast(features: Tensor, pairs: Tensor) -> Tensor:
    """Patch token contrast: features (B,N,D), pairs (B,N,N) of 1 alike, 0 unlike, 255 unknown -> scalar.

    The absolute cosine of alike patches is drawn to 1 and that of unlike ones to 0; a patch makes no pair with itself.
    """
    unit = F.normalize(features.float(), dim=-1)
    with torch.autocast(features.device.type, enabled=False):
        cosine = (unit @ unit.transpose(1, 2)).abs()
    other = ~torch.eye(features.shape[1], dtype=torch.bool, device=features.device)
    alike, unlike = (pairs == 1) & other, (pairs == 0) & other
    drawn = 1 - (cosine * alike).sum() / (alike.sum() + 1)
    return 0.5 * drawn + 0.5 * (cosine * unlike).sum() / (unlike.sum() + 1)


def class_contrast(student: Tensor, teacher: Tensor, positive: Tensor, temperature: float) -> Tensor:
    """Class token contrast: student (B,V,D), teacher (B,2,D), positive (B,V) bool -> scalar.

    A teacher's view is drawn to the positive views of its image and pushed from the negative ones. Without a negative
    view there is nothing to push from, and the loss is almost 0.
    """
    with torch.autocast(student.device.type, enabled=False):
        e = (teacher.detach().float() @ student.float().transpose(1, 2) / temperature).exp()  # (B,2,V)
    positive = positive[:, None].to(e)
    negatives = (e * (1 - positive)).sum(-1, keepdim=True)
    drawn = ((e + negatives + 1e-4).log() - e.log()) * positive
    of_image = (drawn.sum(-1) + (1 + negatives[..., 0] + 1e-4).log()).sum(-1)  # over the two teachers
    return (of_image / (2 * (positive.sum((1, 2)) + 1e-4))).mean()


class ProjectionHead(nn.Module):
    """Class token (B,D) -> (B,4D/3), whose prototypes have length 1: DINO's head, in proportion to the encoder."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden, middle, out = (round(width * share) for share in (2048 / 768, 256 / 768, 1024 / 768))
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, middle)
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        last = parametrizations.weight_norm(nn.Linear(middle, out, bias=False))
        gain = last.parametrizations.weight.original0
        nn.init.ones_(gain)
        gain.requires_grad_(False)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        prototypes: Tensor = self.last(F.normalize(self.layers(x), dim=-1))
        return prototypes


def object_levels(cam: Tensor, labels: Tensor, levels: Levels) -> Tensor:
    """How much of an object a pixel shows: CAMs (B,C-1,H,W), labels (B,C-1) -> 0 background, 1 uncertain, 2 object."""
    value = (cam * labels[:, :, None, None]).amax(1)
    return (value > levels.low).float() + (value >= levels.high).float()


def draw_crops(levels: Tensor, side: int, count: int) -> Tensor:
    """First rows and columns (B,count,2) of crops of `side` whose middle is drawn from all pixels (B,S,S) that are no
    object for sure; from all where there is no such pixel."""
    half = side // 2
    free = levels[:, half : levels.shape[1] - side + half + 1, half : levels.shape[2] - side + half + 1] < 2
    weights = free.flatten(1).float()
    weights = weights + (weights.sum(1, keepdim=True) == 0)
    drawn = torch.multinomial(weights, count, replacement=True)
    return torch.stack([drawn // free.shape[2], drawn % free.shape[2]], -1)


def cut_out(x: Tensor, corners: Tensor, side: int) -> Tensor:
    """Crops of maps (B,C,S,S) at `corners` (B,n,2): (B,n,C,side,side)."""
    steps = torch.arange(side, device=x.device)
    rows, columns = corners[..., 0, None] + steps, corners[..., 1, None] + steps  # (B,n,side)
    image = torch.arange(len(x), device=x.device)[:, None, None, None]
    return x[image, :, rows[..., :, None], columns[..., None, :]].movedim(-1, 2)


def zoomed(images: Tensor, smallest: float) -> Tensor:
    """A random part of each image, of `smallest` to all of its area, resized to the whole and mirrored by chance."""
    share = (smallest + (1 - smallest) * torch.rand(len(images), 1)).sqrt()
    ratio = torch.exp((torch.rand(len(images), 1) * 2 - 1) * torch.log(torch.tensor(4 / 3))).sqrt()
    width, height = (share * ratio).clamp(max=1), (share / ratio).clamp(max=1)
    x, y = ((torch.rand(len(images), 1) * 2 - 1) * (1 - extent) for extent in (width, height))
    width = width * torch.where(torch.rand(len(images), 1) < 0.5, -1.0, 1.0)
    none = torch.zeros_like(x)
    theta = torch.cat([width, none, x, none, height, y], 1).view(-1, 2, 3).to(images)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
