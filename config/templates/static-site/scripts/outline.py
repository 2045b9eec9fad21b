"""Step 1: reads the material and says what words are wanted of a model."""

from __future__ import annotations

import json

from material import read_material
from request import Failure, Request, run_step

_SHOWN_BYTES, _SHOWN_BYTES_SMALL = 24_000, 800


def outline(request: Request) -> dict:
    """The whole output of the step."""
    if not request.goal.strip():
        raise Failure("say what the site is about: the goal is empty")
    material = read_material(request)
    small = request.is_small_model()
    sections = 2 if small else request.params.get("sections", 4)
    shown = "\n\n".join(f"# {text.name}\n{text.text.strip()}" for text in material.texts)
    tables = "\n".join(f"- a table from {table.name}: {table.text.splitlines()[0][:200]}" for table in material.tables)
    return {
        "pages": ["index.html", *material.pages()],
        "images": [target for _, target in material.images.values()],
        "sections": sections,
        "has_index": any(text.page == "index.html" for text in material.texts),
        "material": _fit(f"{shown}\n{tables}".strip() or "(none)", _SHOWN_BYTES_SMALL if small else _SHOWN_BYTES),
        "schema": _schema(sections, small),
    }


def _fit(text: str, bytes_max: int) -> str:
    """A text cut to what it takes in a step's output, where each letter beyond ASCII takes six bytes."""
    size = len(json.dumps(text))
    return text if size <= bytes_max else text[: len(text) * bytes_max // size]


def _schema(sections: int, small: bool) -> dict:
    text = {"type": "string", "minLength": 1, "maxLength": 240 if small else 1_600}
    heading = {"type": "string", "minLength": 1, "maxLength": 60}
    section = {
        "type": "object",
        "properties": {"heading": heading, "text": text},
        "required": ["heading", "text"],
        "additionalProperties": False,
    }
    properties = {
        "title": {"type": "string", "minLength": 1, "maxLength": 60},
        "tagline": {"type": "string", "minLength": 1, "maxLength": 140},
        "sections": {"type": "array", "minItems": 1, "maxItems": sections, "items": section},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


if __name__ == "__main__":
    run_step(outline)
