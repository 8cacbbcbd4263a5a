"""The power goes in the life of a store: what is left is copied at some moments, and opened when the life is over."""

import itertools
import shutil
from contextlib import closing
from copy import copy

import apsw

from penstock.store.sqlite.file_check import check_file
from penstock.store.sqlite.store import SqliteStore


class Recovery:
    """Opens what a life has left in a directory, and compares it with what was acknowledged."""

    def __init__(self, life, audit):
        self.life = life
        self.audit = audit

    def check(self, directory, *told):
        """What is there is what was acknowledged, or else what the call that was under way would have made of it:
        nothing half. It is sound, and goes on."""
        path = directory / "penstock.db"
        store = SqliteStore(path, clock=copy(self.life.clock))
        found = self.life.seen_in(store)
        assert found in told, [_differences(found, one) for one in told]
        self.audit(store)
        self.life.check(store)
        self.life.go_on(store)
        store.close()
        with closing(apsw.Connection(str(path))) as connection:
            assert check_file(connection).findings == []
        shutil.rmtree(directory)


def _differences(found, told):
    return {name: (found.get(name), told.get(name)) for name in found.keys() | told.keys()
            if found.get(name) != told.get(name)}  # fmt: skip


def copied(path, into):
    """What is in the files now."""
    into.mkdir()
    for file in path.parent.iterdir():
        shutil.copy(file, into / file.name)
    return into


def cut_at_every_commit(life, path, tmp_path, audit):
    """After each call all files are copied, and the copy is opened. Answers how many there were."""
    recovery, numbers = Recovery(life, audit), itertools.count()

    def after():
        number = next(numbers)
        if number % life.every == 0:
            recovery.check(copied(path, tmp_path / str(number)), life.told)

    life.after = after
    live(life)
    return next(numbers)


class Cuts:
    """The power goes at operations of the disk: unsynced sectors are lost, or kept by chance (None: all are lost)."""

    def __init__(self, disk, life, tmp_path, chance=None):
        self.disk = disk
        self.life = life
        self.tmp_path = tmp_path
        self.chance = chance
        self._moments = itertools.count()
        self._under_way = []
        self._answered = []
        life.after = self._after

    def cut(self):
        """The power goes now."""
        if next(self._moments) % self.life.every:
            return
        into = self.tmp_path / f"cut-{len(self._under_way) + len(self._answered)}"
        into.mkdir()
        self.disk.cut_power(into, self.chance)
        self._under_way.append((into, self.life.told))

    def _after(self):
        self._answered += [(into, told, self.life.told) for into, told in self._under_way]
        self._under_way.clear()

    def check(self, audit):
        """Open all that was left. Answers how often the power went."""
        recovery = Recovery(self.life, audit)
        for into, *told in self._answered:
            recovery.check(into, *told)
        return len(self._answered)


def live(life):
    """The whole life."""
    for _ in range(life.length):
        life.step()
    life.check_end()
    life.store.close()
