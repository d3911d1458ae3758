"""An upload session of the model, with what the store has of it."""

from dataclasses import dataclass, field

from tests.stateful.model import CHUNK, File


@dataclass(eq=False)
class Session:
    """An upload session; `parts` are bytes by number, `gone` says that its file was deleted.

    Where clients may send parts to the store itself, `sent` is what the store has of each, whoever sent it; `urls` are
    those for which a URL was given out, and for which of its uploads; those that were changed later are `disputed`.
    """

    file: File
    name: str
    declared: str
    status: str = "INIT"
    parts: dict = field(default_factory=dict)
    overdue: bool = False
    gone: bool = False
    id: str | None = None
    sent: dict = field(default_factory=dict)
    urls: dict = field(default_factory=dict)
    upload: int = 0
    disputed: set = field(default_factory=set)

    def __post_init__(self):
        self.size = self.file.size

    @property
    def open(self):
        """Whether it takes parts."""
        return self.status in ("INIT", "IN_PROGRESS")

    @property
    def total_parts(self):
        """How many parts it has."""
        return -(-self.size // CHUNK)

    def part_size(self, number):
        """Return the size of a part: one chunk, or the rest."""
        return min(CHUNK, self.size - (number - 1) * CHUNK)

    def record(self, number, data):
        """Put a part on record."""
        self.parts[number] = self.sent[number] = data
        self.status, self.overdue = "IN_PROGRESS", False

    def pick_up(self):
        """Put all on record that has arrived in the store, but for what is disputed."""
        for number in sorted(set(self.sent) - set(self.parts) - self.disputed):
            self.record(number, self.sent[number])

    def drop_changed(self):
        """Take off the record what is another in the store by now; return whether there was any."""
        changed = {number for number, data in self.parts.items() if self.sent[number] != data}
        self.disputed |= changed
        for number in changed:
            del self.parts[number]
        if changed and self.total_parts == 1:
            # Its upload may be what is wrong: it begins anew.
            self.upload += 1
            self.sent.clear()
        return bool(changed)
