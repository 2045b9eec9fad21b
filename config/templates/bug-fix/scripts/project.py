"""The given files as a project in a folder: unpacked safely, sorted by role.

An archive is data from strangers: no path may leave the folder, links and
devices are refused, and what comes out is counted before it is written.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
import tarfile
import zipfile
from typing import Dict, Iterator, List, Tuple

from request import Failure

FILES_MAX = 2_000
BYTES_MAX = 64 << 20
_RATIO_MAX = 200
_RATIO_FREE_BYTES = 1 << 20
_PATH_CHARS_MAX = 300
_TEXT_BYTES_MAX = 1 << 20
_IGNORED = {"__pycache__", ".git", ".hg", ".svn", "node_modules", ".venv", "venv", "__MACOSX"}

Member = Tuple[str, int, object]


class Project:
    """A folder with the files of a project, by path with `/`."""

    def __init__(self, root: str, paths: List[str]) -> None:
        self.root = root
        self.paths = sorted(paths)
        self.python = [path for path in self.paths if path.endswith(".py")]
        self.tests = [path for path in self.python if is_test_file(path)]
        self.sources = [path for path in self.python if not is_test_code(path)]

    def read(self, path: str) -> str:
        """The text of a source file, line ends as they are."""
        with open(os.path.join(self.root, path), encoding="utf-8", newline="") as handle:
            return handle.read()

    def write(self, path: str, text: str) -> None:
        """Puts a text in place of a file's, or a new file."""
        whole = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "w", encoding="utf-8", newline="") as handle:
            handle.write(text)


def is_test_code(path: str) -> bool:
    """Tests and what only they use: nothing a fix may touch."""
    parts = path.split("/")
    return is_test_file(path) or any(part in ("test", "tests") for part in parts[:-1]) or parts[-1] == "conftest.py"


def is_test_file(path: str) -> bool:
    """A file whose tests are run."""
    name = posixpath.basename(path)
    return name.endswith(".py") and (
        name.startswith("test_") or name.endswith("_test.py") or name in ("test.py", "tests.py")
    )


def lay_out(inputs: List[dict], root: str) -> Project:
    """Copies the given files, or what the one archive among them holds, into a folder."""
    archives = [item for item in inputs if _is_archive(item["name"])]
    if archives and len(inputs) > 1:
        raise Failure(f"give one archive or single files, not both: {archives[0]['name']}")
    os.makedirs(root, exist_ok=True)
    if archives:
        paths = _unpack(archives[0], root)
    else:
        paths = [_copy(item, root) for item in inputs]
    project = Project(root, paths)
    _check_texts(project)
    return project


def _copy(item: dict, root: str) -> str:
    name = _safe_path(item["name"])
    shutil.copyfile(item["path"], os.path.join(root, name))
    return name


def _check_texts(project: Project) -> None:
    """Python files must be text that can be shown, changed and compared."""
    if not project.python:
        raise Failure("no Python file was given: bugs are fixed in Python code only")
    for path in project.python:
        size = os.path.getsize(os.path.join(project.root, path))
        if size > _TEXT_BYTES_MAX:
            raise Failure(f"{path} has {size:,} bytes; a source file has at most {_TEXT_BYTES_MAX:,}")
        try:
            if "\0" in project.read(path):
                raise Failure(f"{path} is not text: it has NUL bytes")
        except UnicodeDecodeError as error:
            raise Failure(f"{path} is not UTF-8: byte {error.start} cannot be read") from error
    if not project.sources:
        raise Failure("only tests were given; give the code that they test as well")


# Archives


def _is_archive(name: str) -> bool:
    return name.lower().endswith((".zip", ".tar.gz", ".tgz", ".tar"))


def _unpack(item: dict, root: str) -> List[str]:
    try:
        if item["name"].lower().endswith(".zip"):
            with zipfile.ZipFile(item["path"]) as archive:
                return _write_all(_zip_members(archive), lambda member: archive.open(member), item, root)
        with tarfile.open(item["path"]) as archive:
            return _write_all(_tar_members(archive), lambda member: archive.extractfile(member), item, root)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise Failure(f"{item['name']} cannot be unpacked: {str(error).splitlines()[0]}") from error


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        mode = info.external_attr >> 16
        if info.flag_bits & 1:
            raise Failure(f"{info.filename} in the archive is encrypted")
        if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise Failure(f"{info.filename} in the archive is a link or a device")
        if not info.is_dir():
            yield info.filename, info.file_size, info


def _tar_members(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        if info.isdir():
            continue
        if not info.isreg():
            raise Failure(f"{info.name} in the archive is a link or a device")
        yield info.name, info.size, info


def _write_all(members: Iterator[Member], opened, item: dict, root: str) -> List[str]:
    packed = os.path.getsize(item["path"])
    allowed = min(BYTES_MAX, max(_RATIO_FREE_BYTES, packed * _RATIO_MAX))
    total, kept = 0, {}
    for name, size, member in members:
        path = _safe_path(name)
        if path in kept:
            raise Failure(f"{path} is twice in the archive")
        if _IGNORED.intersection(path.split("/")) or path.endswith(".pyc"):
            continue
        total += size
        kept[path] = member
        if len(kept) > FILES_MAX or total > allowed:
            raise Failure(f"the archive unpacks to more than {FILES_MAX:,} files or {allowed:,} bytes")
    names = _without_top_folder(list(kept))
    left = allowed
    for path, member in kept.items():
        left -= _write_one(os.path.join(root, names[path]), opened(member), left)
    return list(names.values())


def _write_one(path: str, source, left: int) -> int:
    """Writes one member; what it says of its size is not believed."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    written = 0
    with source, open(path, "xb") as sink:
        while part := source.read(1 << 16):
            written += len(part)
            if written > left:
                raise Failure("the archive unpacks to more than it says")
            sink.write(part)
    return written


def _without_top_folder(paths: List[str]) -> Dict[str, str]:
    """Archives of a project mostly hold one folder with all of it."""
    tops = {path.split("/", 1)[0] for path in paths}
    if len(tops) == 1 and all("/" in path for path in paths):
        top = f"{next(iter(tops))}/"
        # A package is no wrapper: its name is what its users import.
        if f"{top}__init__.py" not in paths:
            return {path: path[len(top) :] for path in paths}
    return {path: path for path in paths}


def _safe_path(name: str) -> str:
    """A relative path without surprises, else a failure."""
    path = name.removeprefix("./")
    parts = path.split("/")
    if (
        not path
        or len(path) > _PATH_CHARS_MAX
        or path.startswith("/")
        or "\\" in path
        or any(part in ("", ".", "..") for part in parts)
        or not path.isprintable()
    ):
        raise Failure(f"{name[:80]!r} is not a path that a project may have")
    return path
