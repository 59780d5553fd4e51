"""What lies outside the workers under test: a file of notes that several processes append to, and gates."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_LOOK = 0.02
_PATIENCE = 240.0


@dataclass(frozen=True)
class Note:
    """One line: what happened, to what, and in which process."""

    word: str
    subject: str
    pid: int


@dataclass(frozen=True)
class Outside:
    """A folder that outlives every worker."""

    folder: Path

    def tell(self, word: str, subject: str) -> None:
        """Append a note; one write, so that notes of several processes do not mix."""
        line = f"{word} {subject} {os.getpid()}\n".encode()
        file = os.open(self.folder / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line)
        finally:
            os.close(file)

    def notes(self, word: str, subject: str) -> list[Note]:
        """Return the notes of that word and subject, oldest first."""
        file = self.folder / "notes"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        found = (Note(said, about, int(pid)) for said, about, pid in (line.split(" ") for line in lines))
        return [note for note in found if (note.word, note.subject) == (word, subject)]

    def open(self, subject: str, pid: int = 0) -> None:
        """Open the gate of a subject, for one process or for all."""
        (self.folder / f"open-{subject}-{pid}").touch()

    def pass_gate(self, subject: str) -> None:
        """Wait until the gate is open for this process."""
        gates = (self.folder / f"open-{subject}-0", self.folder / f"open-{subject}-{os.getpid()}")
        deadline = time.monotonic() + _PATIENCE
        while not any(gate.exists() for gate in gates):
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody opened the gate of {subject}")
            time.sleep(_LOOK)
