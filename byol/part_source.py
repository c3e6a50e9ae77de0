"""The source of a part of your own, found and read without running it: its package, digest and arguments."""

import ast
import functools
import hashlib
import importlib
import importlib.util
import os
import pkgutil
import symtable
import sys
import time
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from byol.errors import nearest, shortened

_PARTS = (ast.FunctionDef, ast.ClassDef)


def _process_start() -> float:
    """When this process began, in seconds since the epoch; where that cannot be told, now."""
    try:
        after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):  # there is no such file, or no such clock, but on Linux
        age = 0.0
    return time.time() - age


_STARTED = _process_start()


class PartNotFoundError(ValueError):
    """A name that leads to no function. `str(error)` says why, with the nearest name where there is one."""


@dataclass(frozen=True)
class Found:
    """What a name `MODULE:NAME` leads to."""

    package: Path
    """The top-level module: a file, or the folder of a package."""
    code: str
    """SHA-256, in hex, of the names and bytes of its Python files, of all of the package's."""
    arguments: ast.arguments | None
    """Those of the function or class; None where the source does not tell (something imported, decorated)."""


@functools.cache
def find(name: str) -> Found:
    """Finds a part by its name `MODULE:NAME` on sys.path. The answer stays the same until `forget`.

    Raises:
        PartNotFoundError: there is no such module, or no such name in it, or its source cannot be read.
    """
    importlib.invalidate_caches()
    module, _, attribute = name.partition(":")
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        raise PartNotFoundError(f"{top} is of Python's own library")
    file = _file(module, _spec(module))
    locations = _spec(top).submodule_search_locations
    folders = [Path(location) for location in locations or ()]
    if len(folders) > 1:
        raise PartNotFoundError(f"{top} lies in more than one folder: {', '.join(map(str, folders))}")
    package = (folders[0] if folders else file).absolute()
    try:
        source = file.read_bytes()
        return Found(package=package, code=_digest(package), arguments=_arguments(file, source, attribute))
    except OSError as error:
        raise PartNotFoundError(f"{error.filename}: cannot be read: {error.strerror}") from None


def changed_since_start(top: str) -> Path | None:
    """A file of which this process has imported a module of `top`, and which may have changed since then.

    When a module was imported is not known, and what was imported neither: only a file that has stayed as it
    is since the process began is sure to be what was imported.
    """
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) if name.partition(".")[0] == top else None
        if file is None:
            continue
        try:
            state = Path(file).stat()
        except OSError:
            return Path(file)
        if max(state.st_mtime, state.st_ctime) >= _STARTED:  # a copy may keep the time of the original
            return Path(file)
    return None


def forget() -> None:
    """Lets the next `find` look at the files again."""
    find.cache_clear()


def search_in(*folders: Path) -> None:
    """Lets this process find modules in these folders too, after all places where it looks already."""
    for folder in map(str, map(Path.absolute, folders)):
        if folder not in sys.path:
            sys.path.append(folder)


def _spec(module: str) -> ModuleSpec:
    """Where a module is. `importlib.util.find_spec` would run the packages above it."""
    top, *below = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: a module without a place, such as __main__
        spec = None
    if spec is None:
        names = [found.name for found in pkgutil.iter_modules() if not found.name.startswith("_")]
        place = "the study's folder, the working directory or on sys.path"
        raise PartNotFoundError(f"there is no module {top} in {place}{nearest(top, names)}")
    for name in below:
        above, locations = spec, spec.submodule_search_locations
        spec = PathFinder.find_spec(f"{above.name}.{name}", locations) if locations else None
        if spec is None:
            names = [found.name for found in pkgutil.iter_modules(locations)] if locations else []
            raise PartNotFoundError(f"there is no module {name} in {above.name}{nearest(name, names)}")
    return spec


def _file(module: str, spec: ModuleSpec) -> Path:
    if spec.origin is None or not spec.origin.endswith(".py"):
        raise PartNotFoundError(f"{module} is no Python file")
    return Path(spec.origin)


def _digest(package: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")) if package.is_dir() else [package]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package.parent).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _arguments(file: Path, source: bytes, attribute: str) -> ast.arguments | None:
    try:
        tree = ast.parse(source)
        symbols = symtable.symtable(source.decode(), str(file), "exec").get_symbols()
    except (SyntaxError, ValueError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
        problem = error.msg if isinstance(error, SyntaxError) else str(error)
        raise PartNotFoundError(f"{file}{line}: is not Python: {shortened(problem)}") from None
    names = {symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()}
    has_others = "__getattr__" in names or any(
        alias.name == "*"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )
    if attribute not in names and not has_others:
        raise PartNotFoundError(f"there is no {attribute} in {file}{nearest(attribute, names)}")
    return _of_call([node for node in tree.body if isinstance(node, _PARTS) and node.name == attribute])


def _of_call(definitions: "list[ast.FunctionDef | ast.ClassDef]") -> ast.arguments | None:
    """What the last of these is called with; of a class, what its own `__init__` takes after `self`."""
    if not definitions or definitions[-1].decorator_list:
        return None
    last = definitions[-1]
    if isinstance(last, ast.FunctionDef):
        return last.args
    found = _of_call([node for node in last.body if isinstance(node, _PARTS) and node.name == "__init__"])
    if found is None or not (found.posonlyargs or found.args):
        return None
    first, second = (found.posonlyargs[1:], found.args) if found.posonlyargs else ([], found.args[1:])
    return ast.arguments(**{**dict(ast.iter_fields(found)), "posonlyargs": first, "args": second})
