"""How a score is taken: which branch, whether image labels were given, whether a CRF ran. Names carry all of it."""

from typing import NamedTuple


class Protocol(NamedTuple):
    """Single scale, no flip, squashed to `scored_size`, scored at the mask's own size."""

    name: str
    branch: str
    image_labels: bool
    crf: bool


PROTOCOLS = [
    Protocol("miou", "decoder", False, False),
    Protocol("miou_crf", "decoder", False, True),
    Protocol("patch_miou", "patch", False, False),
    Protocol("patch_miou_crf", "patch", False, True),
    Protocol("labelled_miou", "decoder", True, False),
    Protocol("labelled_miou_crf", "decoder", True, True),
    Protocol("pseudo_miou", "patch", True, False),
    Protocol("pseudo_miou_crf", "patch", True, True),
]
HEADLINE = PROTOCOLS[:1]
