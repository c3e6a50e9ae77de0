"""HTML in small pieces. Whatever comes from a study or a table goes through `escaped`."""

import html
from collections.abc import Iterable, Sequence


def escaped(value: object) -> str:
    """Text that a browser shows as it is, in elements and in attributes."""
    return html.escape(str(value), quote=True)


def prose(text: str) -> str:
    """Escaped sentences in which no line ends between a number and its percent sign."""
    return escaped(text).replace(" %", "\N{NO-BREAK SPACE}%")


def element(tag: str, inner: str, **attributes: str) -> str:
    """An element; `inner` is HTML. Attributes lose a last underscore; others become dashes."""
    parts = [
        f' {name.rstrip("_").replace("_", "-")}="{escaped(value)}"' for name, value in attributes.items()
    ]
    return f"<{tag}{''.join(parts)}>{inner}</{tag}>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], **attributes: str) -> str:
    """A table of plain text in a box that scrolls by itself when it is wider than the screen."""
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escaped(value)}</td>" for value in row) + "</tr>" for row in rows)
    inner = element("table", f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>", **attributes)
    return f'<div class="scroll" tabindex="0">{inner}</div>'


def pairs(items: Iterable[tuple[str, str]]) -> str:
    """A list of names with their values, as plain text."""
    inner = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in items)
    return f"<dl>{inner}</dl>"
