"""The page about reliability has the rows of the suite, and the suite injects what it lists."""

import re
from pathlib import Path

import pytest

from tests.faults import page
from tests.faults.injected import ROWS, SAME, Results


def rows_of(text: str) -> dict[str, list[str]]:
    """First cell -> the others, of the first table of a text."""
    lines = [line[1:-1].split("|") for line in text.splitlines() if line.startswith("| ")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines[2:]}


def test_the_table_of_the_page_is_the_suite_s() -> None:
    text = page.PAGE.read_text()
    [table] = re.findall("<!-- faults -->\n(.*?)<!-- end -->", text, flags=re.DOTALL)
    rows = rows_of(table)
    assert [*rows] == [*ROWS.values()]
    for name, cells in rows.items():
        assert not cells[-1], f"{name}: was not survived"


def test_every_row_is_injected_by_a_test() -> None:
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    missing = [row for row in ROWS if f'"{row}"' not in sources]
    assert missing == []


def test_a_failed_test_counts_as_not_survived() -> None:
    results = Results()
    results.add("a", "driver", SAME, 3)
    results.add("b", "driver", SAME)
    results.failed("a")
    table = rows_of(page.faults_table(results.by_test))
    assert table[ROWS["driver"]] == ["4", "1", "", "", "3"]


def test_parts_are_replaced(tmp_path: Path) -> None:
    text = "a\n<!-- soak -->\nold\n<!-- end -->\nb\n"
    assert page.replaced(text, "soak", "new") == "a\n<!-- soak -->\nnew\n<!-- end -->\nb\n"
    with pytest.raises(AssertionError):
        page.replaced("a", "soak", "new")
