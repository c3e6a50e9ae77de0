"""One component at a time: in which cells collapse was seen, said without a claim about causes."""

from collections.abc import Sequence

from analysis.cells import Cell, reference_of
from analysis.findings.finding import Finding, Value
from analysis.findings.rules import seeds_text
from analysis.provenance import confounded
from analysis.results import StudyResults
from analysis.verdict import Removals, seeds_with_collapse
from analysis.wording import listed


def removals_finding(study: StudyResults, cells: Sequence[Cell], removals: Removals) -> Finding:
    """What happens when one component alone leaves the reference's level."""
    reference = reference_of(cells)
    assert reference is not None
    every = (*removals.fatal, *removals.harmless)
    mixed = [cell for cell in every if study.factors[cell.changed[0]].name in confounded(study)]
    fatal, harmless = (
        [cell for cell in group if cell not in mixed] for group in (removals.fatal, removals.harmless)
    )
    parts = []
    if reference.collapsed:
        parts.append(f"The reference itself collapsed in {_seeds_of(study, reference)}.")
    if fatal:
        changes = [f"{cell.text} ({_seeds_of(study, cell)})" for cell in fatal]
        parts.append(
            f"With one component changed, collapse was seen, too: {listed(changes)}."
            if reference.collapsed
            else f"Changing one component of the reference made it collapse: {listed(changes)}."
        )
    if harmless:
        fewest = min(harmless, key=lambda cell: cell.judged)
        equal = all(cell.judged == fewest.judged for cell in harmless)
        scope = "" if len(harmless) == 1 else "each: " if equal else "fewest seeds: "
        end = f"({scope}{_seeds_of(study, fewest)})."
        which = "This change" if len(harmless) == 1 else "These changes"
        named = ", ".join(cell.text for cell in harmless)
        parts.append(
            f"No collapse was seen here: {named} {end}"
            if reference.collapsed
            else f"{which} alone did not make it collapse: {named} {end}"
        )
    if mixed:
        changes = [f"{cell.text} (collapsed in {_seeds_of(study, cell)})" for cell in mixed]
        whose = "its factor is" if len({cell.changed for cell in mixed}) == 1 else "their factors are"
        parts.append(f"With {listed(changes)}, {whose} confounded, so it cannot be told what does that.")
    values: dict[str, Value] = {"fatal": len(fatal), "harmless": len(harmless), "confounded": len(mixed)}
    n = len(fatal) + len(harmless)
    return Finding(kind="removals", text=" ".join(parts), values=values, n=n)


def _seeds_of(study: StudyResults, cell: Cell) -> str:
    return seeds_text(seeds_with_collapse([cell], study.seeds))
