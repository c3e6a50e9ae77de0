"""The findings as one JSON document, findings.json: docs/findings.schema.json is its schema."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from analysis.findings import Finding, findings, study_findings
from analysis.findings.overview import overview_findings
from analysis.results import Results, StudyResults

VERSION = 1
"""Of the schema. Added keys leave it as it is; one that is removed or changes its meaning needs a new one."""
OF_THE_VERDICT = ("case", "rule", "adjusted_p", "thresholds", "inside", "outside")
"""Values that an item of kind `verdict` has as keys of its own, null where they are not known."""


def findings_document(results: Results) -> dict[str, Any]:
    """What the results show, as plain data: no NaN, no infinity, no types but JSON's.

    Items that compare several sweeps come first. Unlike in `findings`, no other text begins with the name of
    its sweep: each item names it.
    """
    nothing = {"sweep": None, "study": None, "study_index": None}
    items = [{**nothing, **_item(item, [])} for item in overview_findings(results)]
    names = results.names
    for index, study in enumerate(results.studies):
        items += _items(study, {"sweep": names[index], "study": study.name, "study_index": index})
    return {
        "schema": "byol-sweeps/findings",
        "version": VERSION,
        "counts": asdict(findings(results).counts),
        "studies": [_study(study, name) for study, name in zip(results.studies, names, strict=True)],
        "items": items,
    }


def document_text(document: Mapping[str, Any]) -> str:
    """The document as findings.json holds it."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _study(study: StudyResults, sweep: str) -> dict[str, Any]:
    return {
        "sweep": sweep,
        "name": study.name,
        "title": study.title,
        "design": study.design,
        "factors": [{"name": factor.name, "levels": list(factor.levels)} for factor in study.factors],
        "seeds": list(study.seeds),
        "thresholds": {
            "representation": study.representation_threshold,
            "projection": study.projection_threshold,
        },
        "directories": list(study.directories),
        "counts": asdict(study_findings(study).counts),
    }


def _items(study: StudyResults, whose: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = study_findings(study).items
    caveats = [item.kind for item in items if item.caveat]
    return [{**whose, **_item(item, [] if item.caveat else caveats)} for item in items]


def _item(item: Finding, caveats: Sequence[str]) -> dict[str, Any]:
    values = _plain(item.values)
    lifted = {name: values.get(name) for name in OF_THE_VERDICT} if item.kind == "verdict" else {}
    return {
        "kind": item.kind,
        "text": item.text,
        "interval": _plain([item.interval.low, item.interval.high]) if item.interval else None,
        "n": item.n,
        "caveat": item.caveat,
        "caveats": list(caveats),
        **lifted,
        "values": values,
    }


def _plain(value: Any) -> Any:
    """As JSON has it: no tuples, no numpy numbers, and null for what is not a finite number."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
