"""A place that outlives the machine: an object store or a folder, named by a URI, through pyarrow.fs.

Credentials come from where each provider's own tools look for them: the environment, its files, or the
instance's role. A URI that contains credentials is refused, because URIs are recorded.
"""

import contextlib
import errno
import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pyarrow as pa
from pyarrow import fs

from byol.errors import nearest
from byol.files import remove_partial_files, replacing
from sweeps.errors import LastingStorageError, StorageError, is_of_disk, one_line
from sweeps.record.manifest import without_secrets

SCHEMES = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs")
"""Schemes of the URIs that pyarrow.fs opens."""

_S3_OPTIONS = ("endpoint_override", "region", "scheme")
_CONNECT_SECONDS, _SILENCE_SECONDS, _ATTEMPTS = 3, 5, 3
_REFUSED = re.compile(
    r"AWS Error (ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|\w+ \(HTTP status 403\))"
    r"|google::cloud::Status\((PERMISSION_DENIED|UNAUTHENTICATED)|Azure Error: \[Auth"
)
"""How the stores say that they refuse a request."""
_CHUNK = 16 * 2**20  # bytes per request: pyarrow's default of 1 MiB makes a hundred requests of one encoder


@dataclass(frozen=True)
class Store:
    """Files by name under one URI. Small and picklable: each process opens the URI itself."""

    uri: str
    """Such as `s3://bucket/sweeps/one?region=eu-west-1` or `file:///shared/sweeps/one`."""

    @classmethod
    def at(cls, place: str) -> "Store":
        """Returns the store at a URI or a local path. Does not connect yet.

        Raises:
            StorageError: the URI has an unknown scheme or option, no bucket, or credentials.
        """
        if without_secrets(place) != place:
            raise StorageError(
                "--storage: must hold no credentials (they come from the environment or the instance's "
                f"role), but got {without_secrets(place)}"
            )
        scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", place)
        if scheme is None:
            return cls(f"file://{quote(str(Path(place).expanduser().absolute()))}")
        if scheme[1] not in SCHEMES:
            rule = f"must be a path, or a URI that starts with one of {', '.join(f'{s}:' for s in SCHEMES)}"
            raise StorageError(f"--storage: {rule}, but got {place!r}{nearest(scheme[1], SCHEMES)}")
        parts = urlsplit(place)
        local = scheme[1] == "file"
        if not (parts.path.strip("/") if local else parts.netloc):
            target = "a folder (file:///FOLDER)" if local else f"a bucket ({scheme[1]}://BUCKET/PREFIX)"
            raise StorageError(f"--storage: must name {target}, but got {place!r}")
        if scheme[1] == "s3":
            for option, _ in parse_qsl(parts.query, keep_blank_values=True):
                if option not in _S3_OPTIONS:
                    hint = nearest(option, _S3_OPTIONS) or f" (valid: {', '.join(_S3_OPTIONS)})"
                    raise StorageError(f"--storage: {option}: is not an option of s3:// here{hint}")
        return cls(place)

    def __str__(self) -> str:
        return self.uri

    def modified(self, name: str) -> float | None:
        """Returns when the file was written: seconds since 1970 by the store's clock; None without a file."""
        with self._file_system() as (system, root):
            info = system.get_file_info(f"{root}/{name}")
            return info.mtime.timestamp() if info.type == fs.FileType.File else None

    def names(self, folder: str) -> dict[str, float]:
        """Returns the files directly in a folder, and when each was written (as `modified`)."""
        with self._file_system() as (system, root):
            infos = system.get_file_info(fs.FileSelector(f"{root}/{folder}", allow_not_found=True))
            files = [info for info in infos if info.type == fs.FileType.File]
            return {info.base_name: info.mtime.timestamp() for info in files if info.base_name}

    def read(self, name: str) -> bytes | None:
        """Returns the file's content; None without a file."""
        with self._file_system() as (system, root):
            if system.get_file_info(f"{root}/{name}").type != fs.FileType.File:
                return None
            with system.open_input_stream(f"{root}/{name}") as stream:
                return bytes(stream.read())

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file, in one step."""
        with (
            self._file_system() as (system, root),
            _in_one_step(system, f"{root}/{name}") as partial,
            system.open_output_stream(partial) as stream,
        ):
            stream.write(content)

    def upload(self, path: Path, name: str) -> None:
        """Copies a local file to the store, in one step: the store has the new file or the old one."""
        with self._file_system() as (system, root), _in_one_step(system, f"{root}/{name}") as partial:
            fs.copy_files(
                str(path),
                partial,
                source_filesystem=fs.LocalFileSystem(),
                destination_filesystem=system,
                chunk_size=_CHUNK,
            )

    def download(self, name: str, path: Path) -> bool:
        """Copies a file to an existing local folder, in one step. Returns False if there is no such file."""
        if self.modified(name) is None:
            return False
        with self._file_system() as (system, root), replacing(path) as partial:
            fs.copy_files(
                f"{root}/{name}",
                str(partial),
                source_filesystem=system,
                destination_filesystem=fs.LocalFileSystem(),
                chunk_size=_CHUNK,
            )
        return True

    def copy(self, name: str, to: str) -> None:
        """Copies a file within the store, if there is one, in one step."""
        if self.modified(name) is None:
            return
        with self._file_system() as (system, root), _in_one_step(system, f"{root}/{to}") as partial:
            system.copy_file(f"{root}/{name}", partial)

    def local_folder(self) -> Path | None:
        """Its folder, which need not exist; None if it is none of this machine's."""
        with self._file_system() as (system, root):
            return Path(root) if system.type_name == "local" else None

    def remove_partial_files(self) -> None:
        """Removes what killed processes of this machine have left half-written; an object store has none."""
        folder = self.local_folder()
        if folder is not None:
            remove_partial_files(folder)

    def delete(self, name: str) -> None:
        """Removes a file, if there is one."""
        with self._file_system() as (system, root), contextlib.suppress(FileNotFoundError):
            system.delete_file(f"{root}/{name}")

    @contextlib.contextmanager
    def _file_system(self) -> Iterator[tuple[Any, str]]:
        """Yields the file system and the path in it, and turns its errors into StorageErrors."""
        try:
            yield _open(self.uri)
        except (OSError, pa.ArrowException) as error:
            text = one_line(error)
            refused = _is_refused(error)
            kind = LastingStorageError if is_of_disk(error) or refused else StorageError
            raise kind(f"{self.uri}: {_problem(text, refused=refused)}: {text}") from None


def _is_unreachable(text: str) -> bool:
    return "AWS Error NETWORK_CONNECTION" in text or "Could not connect" in text


def _is_refused(error: BaseException) -> bool:
    """Whether the server or the system has refused it. The text also holds keys, which may be any words."""
    text = one_line(error)
    if _is_unreachable(text):
        return False
    return getattr(error, "errno", None) in (errno.EACCES, errno.EPERM) or _REFUSED.search(text) is not None


def _problem(text: str, *, refused: bool) -> str:
    if _is_unreachable(text):
        return "cannot be reached"
    if refused:
        return "no permission (credentials come from the environment or the instance's role)"
    return "cannot be used"


@functools.cache
def _open(uri: str) -> tuple[Any, str]:
    """Returns the file system of a URI and the path in it. Requests that hang end within seconds."""
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        options = dict(parse_qsl(parts.query))
        if "region" not in options and "endpoint_override" not in options:
            options["region"] = fs.resolve_s3_region(parts.netloc)
        system = fs.S3FileSystem(
            connect_timeout=_CONNECT_SECONDS,
            request_timeout=_SILENCE_SECONDS,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
            **options,
        )
        return system, f"{parts.netloc}{parts.path}".rstrip("/")
    if parts.scheme in ("gs", "gcs") and "retry_limit_seconds" not in parts.query:
        uri += f"{'&' if parts.query else '?'}retry_limit_seconds={_CONNECT_SECONDS * _ATTEMPTS}"
    system, path = fs.FileSystem.from_uri(uri)
    return system, path.rstrip("/")


@contextlib.contextmanager
def _in_one_step(system: Any, path: str) -> Iterator[str]:
    """Yields where to write, so that a file appears at `path` whole. Objects do anyway; files are moved."""
    if system.type_name not in ("local", "hdfs"):
        yield path
        return
    folder, _, name = path.rpartition("/")
    system.create_dir(folder, recursive=True)
    partial = f"{folder}/.{name}.{os.getpid()}.partial"
    try:
        yield partial
        system.move(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):  # a full disk needs the room
            system.delete_file(partial)
        raise
