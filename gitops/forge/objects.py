"""Read Git objects out of a bare repository with one `git cat-file --batch`, and check each against its name.

Git is started by the first object that was not read before: most reads of a commit that was looked at need none.

Nothing is resolved by git itself: a commit names its tree, a tree its entries, and every object's bytes are hashed and
compared with the name they were asked by. So what is read under a commit is what that commit means, by construction,
and no path or revision expression ever reaches git's command line or its parser.
"""

import hashlib
import re
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from gitops.errors import NotFoundError, RefusedError, RetryError
from gitops.forge.kept import KeptObjects
from gitops.forge.process import end_group

if TYPE_CHECKING:
    import subprocess

COMMIT_NAME = re.compile(r"[0-9a-f]{40}")
_CHUNK = 1024 * 1024
_COMMIT_BYTES = 4 * 1024 * 1024
_TREE_BYTES = 64 * 1024 * 1024
_PATH_BYTES = 4096
_TREE_LINE = re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0(.{20})", re.DOTALL)


@dataclass(frozen=True)
class CommitObject:
    """What we need of a commit; `time` is the committer's, in seconds since 1970."""

    tree: str
    parents: tuple[str, ...]
    time: int
    message: str


@dataclass(frozen=True)
class Entry:
    """One line of a tree; `path` is relative to the root, as bytes."""

    mode: int
    path: bytes
    name: str

    @property
    def is_tree(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, executable or not."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def text(self) -> str:
        """The path as text; bytes that are no UTF-8 become lone surrogates."""
        return self.path.decode("utf-8", "surrogateescape")


class ObjectReader:
    """Reads the objects of one mirror; a git that it started is ended when the block is left or the time is over.

    Args:
        start: starts `git cat-file --batch` on the mirror.
        kept: what was read before.
        mirror: the mirror's number among those.
        seconds: that a git may run.
    """

    def __init__(
        self, start: "Callable[[], subprocess.Popen[bytes]]", kept: KeptObjects, mirror: int, *, seconds: float
    ) -> None:
        self._start = start
        self._kept = kept
        self._mirror = mirror
        self._seconds = seconds
        self._started: subprocess.Popen[bytes] | None = None
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._started is None:
            return
        end_group(self._started)
        for pipe in (self._started.stdin, self._started.stdout):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue

    def commit(self, name: str) -> CommitObject:
        """Return a commit.

        Raises:
            NotFoundError: `commit_unknown` when the mirror has none of that name.
        """
        raw = self._whole(name, kind="commit", limit=_COMMIT_BYTES, what=f"commit {name}")
        head, _, message = raw.partition(b"\n\n")
        tree = re.match(rb"tree ([0-9a-f]{40})\n", raw)
        when = re.search(rb"^committer [^\n]*> ([0-9]{1,15}) [+-][0-9]{4}$", head, re.MULTILINE)
        if not tree:
            raise RefusedError("commit_unknown", f"commit {name} names no tree")
        parents = tuple(parent.decode() for parent in re.findall(rb"^parent ([0-9a-f]{40})$", head, re.MULTILINE))
        text = message.decode("utf-8", "replace")
        return CommitObject(tree[1].decode(), parents, int(when[1]) if when else 0, text)

    def find_commit(self, name: str) -> CommitObject | None:
        """Return a commit, None when there is none of that name."""
        try:
            return self.commit(name)
        except NotFoundError:
            return None

    def has(self, name: str) -> bool:
        """Return whether the mirror has a commit now, whatever was read before."""
        try:
            for _ in self.stream(name, limit=_COMMIT_BYTES, what=f"commit {name}", kind="commit"):
                pass
        except NotFoundError:
            return False
        return True

    def entries(self, tree: str, *, below: bytes = b"") -> list[Entry]:
        """Return a folder's entries, each with its path from the root."""
        raw = self._whole(tree, kind="tree", limit=_TREE_BYTES, what=f"tree {tree}")
        found: list[Entry] = []
        at = 0
        while at < len(raw):
            line = _TREE_LINE.match(raw, at)
            if not line or len(below) > _PATH_BYTES:
                raise RefusedError("path_unsafe", f"tree {tree} holds names that no path can have, or is too deep")
            found.append(Entry(int(line[1], 8), below + line[2], line[3].hex()))
            at = line.end()
        return found

    def walk(self, commit: CommitObject, *, files: int) -> Iterator[list[Entry]]:
        """Return the entries of each folder of a commit, parents first.

        Args:
            commit: whose tree is walked.
            files: how many entries, folders included, may be found.

        Raises:
            RefusedError: `repo_too_large` when there are more.
        """
        waiting = [(commit.tree, b"")]
        seen = 0
        while waiting:
            tree, below = waiting.pop()
            folder = self.entries(tree, below=below)
            seen += len(folder)
            if seen > files:
                raise RefusedError("repo_too_large", f"the commit holds more than limit={files} files and folders")
            yield folder
            waiting.extend((entry.name, entry.path + b"/") for entry in folder if entry.is_tree)

    def find(self, commit: CommitObject, path: str) -> Entry | None:
        """Return what stands at a path, None when nothing does; a link on the way is returned in its place."""
        tree, below = commit.tree, b""
        parts = path.encode("utf-8", "surrogateescape").split(b"/")
        for place, part in enumerate(parts):
            entry = next((one for one in self.entries(tree, below=below) if one.path == below + part), None)
            if entry is None or entry.is_link or place == len(parts) - 1:
                return entry
            if not entry.is_tree:
                return None
            tree, below = entry.name, entry.path + b"/"
        return None

    def changes(self, old: CommitObject | None, new: CommitObject, *, files: int) -> Iterator[bytes]:
        """Return the paths that two commits do not have in common; all paths of `new` without an old one.

        Raises:
            RefusedError: `repo_too_large` when more than `files` entries had to be compared.
        """
        waiting = [(old.tree if old else "", new.tree, b"")]
        seen = 0
        while waiting:
            *trees, below = waiting.pop()
            was, now = ({one.path: one for one in self.entries(tree, below=below)} if tree else {} for tree in trees)
            seen += len(was) + len(now)
            if seen > 2 * files:
                raise RefusedError("repo_too_large", f"the commits differ in more than limit={files} files and folders")
            for path in was.keys() | now.keys():
                before, after = was.get(path), now.get(path)
                if before == after:
                    continue
                if any(one is not None and not one.is_tree for one in (before, after)):
                    yield path
                folders = [one.name if one is not None and one.is_tree else "" for one in (before, after)]
                if any(folders):
                    waiting.append((folders[0], folders[1], path + b"/"))

    def blob(self, name: str, *, limit: int, what: str) -> bytes:
        """Return a file's bytes.

        Raises:
            RefusedError: `repo_too_large` when it is larger than `limit` bytes.
        """
        return self._whole(name, kind="blob", limit=limit, what=what)

    def stream(self, name: str, *, limit: int, what: str, kind: str = "blob") -> Iterator[bytes]:
        """Return an object's bytes in pieces; the last piece is followed by the comparison with its name."""
        size = self._ask(name, kind=kind)
        if size > limit:
            raise RefusedError("repo_too_large", f"{what} has {size} bytes, limit={limit}")
        digest = hashlib.sha1(f"{kind} {size}\0".encode(), usedforsecurity=False)
        left = size
        while left:
            piece = self._answers.read(min(_CHUNK, left))
            if not piece:
                raise RetryError("MirrorBroken", f"git ended while {what} was read")
            digest.update(piece)
            left -= len(piece)
            yield piece
        self._answers.read(1)
        if digest.hexdigest() != name:
            raise RetryError("MirrorBroken", f"the bytes of {what} are not those of {name}")

    def _whole(self, name: str, *, kind: str, limit: int, what: str) -> bytes:
        known = self._kept.find(self._mirror, kind, name)
        if known is not None and len(known) <= limit:
            return known
        content = b"".join(self.stream(name, limit=limit, what=what, kind=kind))
        self._kept.keep(self._mirror, kind, name, content)
        return content

    def _ask(self, name: str, *, kind: str) -> int:
        if not COMMIT_NAME.fullmatch(name):
            raise NotFoundError("commit_unknown", f"{name[:80]!a} is no commit: 40 hex digits are")
        try:
            self._questions.write(name.encode() + b"\n")
            self._questions.flush()
        except BrokenPipeError:
            raise RetryError("MirrorBroken", "git cannot read the mirror") from None
        answer = self._answers.readline().split()
        if len(answer) == 3 and answer[1] == kind.encode():  # noqa: PLR2004 - name, kind, size
            return int(answer[2])
        if kind == "commit" and answer:
            raise NotFoundError("commit_unknown", f"the mirror has no commit {name}")
        raise RetryError("MirrorBroken", f"the mirror lacks {kind} {name}")

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        if self._started is None:
            self._started = self._start()
            self._timer = threading.Timer(self._seconds, self._started.kill)
            self._timer.daemon = True
            self._timer.start()
        return self._started

    @property
    def _questions(self) -> IO[bytes]:
        assert self._running.stdin  # noqa: S101 - started with a pipe
        return self._running.stdin

    @property
    def _answers(self) -> IO[bytes]:
        assert self._running.stdout  # noqa: S101 - started with a pipe
        return self._running.stdout
