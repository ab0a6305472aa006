"""What labelling tools document of the files that they import, as JSON schemas, and for CVAT's XML as attributes.

Sources: cocodataset.org/#format-data; labelstud.io/guide/predictions, /guide/task_format, /tags/brushlabels,
/tags/polygonlabels; docs.cvat.ai, "XML annotation format" (1.1), "Creating an annotation task" (raw labels).
"""

from typing import Any

_COUNT = {"type": "integer", "minimum": 1}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}


def _object(needed: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"type": "object", "properties": needed, "required": list(needed), "additionalProperties": more}


def _list(of: dict[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": least}


COCO = _object(
    {
        "info": {"type": "object"},
        "licenses": {"type": "array"},
        "categories": _list(_object({"id": _COUNT, "name": {"type": "string"}, "supercategory": {"type": "string"}})),
        "images": _list(
            _object({"id": _COUNT, "file_name": {"type": "string"}, "width": _COUNT, "height": _COUNT}),
        ),
        "annotations": _list(
            _object(
                {
                    "id": _COUNT,
                    "image_id": _COUNT,
                    "category_id": _COUNT,
                    "segmentation": {
                        "oneOf": [
                            _object({"size": {**_list(_COUNT, 2), "maxItems": 2}, "counts": {"type": "string"}}),
                            _list(_list({"type": "number", "minimum": 0}, 6), 1),
                        ]
                    },
                    "area": _COUNT,
                    "bbox": {**_list({"type": "number", "minimum": 0}, 4), "maxItems": 4},
                    "iscrowd": {"const": 0},
                    "score": _SHARE,
                }
            )
        ),
    }
)

_POINT = {**_list({"type": "number", "minimum": 0, "maximum": 100}, 2), "maxItems": 2}
_BRUSH = _object(
    {
        "format": {"const": "rle"},
        "rle": _list({"type": "integer", "minimum": 0, "maximum": 255}, 7),
        "brushlabels": {**_list({"type": "string"}, 1), "maxItems": 1},
    }
)
_POLYGON = _object(
    {
        "points": _list(_POINT, 3),
        "closed": {"const": True},
        "polygonlabels": {**_list({"type": "string"}, 1), "maxItems": 1},
    }
)


def _region(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return _object(
        {
            "id": {"type": "string", "minLength": 1},
            "type": {"const": kind},
            "from_name": {"const": "label"},
            "to_name": {"const": "image"},
            "original_width": _COUNT,
            "original_height": _COUNT,
            "image_rotation": {"const": 0},
            "score": _SHARE,
            "value": value,
        }
    )


LABEL_STUDIO = _list(
    _object(
        {
            "data": _object({"image": {"type": "string", "pattern": r"^[!-~]+$"}}),  # a URL has no blanks and is ASCII
            "predictions": {
                **_list(
                    _object(
                        {
                            "model_version": {"type": "string"},
                            "score": _SHARE,
                            "result": _list(
                                {"oneOf": [_region("brushlabels", _BRUSH), _region("polygonlabels", _POLYGON)]}
                            ),
                        }
                    ),
                    1,
                ),
                "maxItems": 1,
            },
        }
    )
)

CVAT_LABELS = _list(
    _object(
        {
            "name": {"type": "string", "minLength": 1},
            "color": {"type": "string", "pattern": "^#[0-9a-f]{6}$"},
            "type": {"const": "any"},
            "attributes": _list(
                _object(
                    {
                        "name": {"const": "score"},
                        "mutable": {"const": False},
                        "input_type": {"const": "text"},
                        "default_value": {"const": ""},
                        "values": _list({"type": "string"}, 1),
                    }
                )
            ),
        }
    )
)

_SHAPE = {"label": ".+", "source": "auto", "occluded": "0", "z_order": "0"}
CVAT = {
    "image": {"id": r"\d+", "name": ".+", "width": r"\d+", "height": r"\d+"},
    "mask": _SHAPE
    | {"rle": r"\d+(, \d+)*", "left": r"\d+", "top": r"\d+", "width": r"[1-9]\d*", "height": r"[1-9]\d*"},
    "polygon": _SHAPE | {"points": r"\d+\.\d\d,\d+\.\d\d(;\d+\.\d\d,\d+\.\d\d){2,}"},
    "attribute": {"name": "score"},
}
"""Attributes of each element below `annotations`, meta left out, and what their values look like."""
