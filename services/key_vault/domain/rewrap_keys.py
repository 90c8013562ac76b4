"""Bringing all ciphertexts to the newest version of Vault's sealing key, while keys are being used.

What is left to do is what is still sealed with an older version, so a run that broke off goes on where it stopped, on
any replica.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from libs.core.audit_authors import PLATFORM, Author, Occasion, audit_event
from libs.core.clock import Clock
from libs.core.errors import GatehouseError
from services.key_vault.domain.ports import Ciphertext, KeyStore, KeyTransaction, Rewrapper, WrappedVersion
from services.key_vault.domain.rewrap_run import RewrapRun
from services.key_vault.domain.sealing import sealing_context

MOST_TOGETHER = 100
_ABANDONED_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRewrapper:
    """Begins runs and carries them out, a batch at a time. `refused` is told of each version that Vault refuses."""

    store: KeyStore
    vault: Rewrapper
    clock: Clock
    new_uid: Callable[[], str]
    refused: Callable[[WrappedVersion], None]

    async def begin(self, author: Author, *, rotate_sealing_key: bool) -> RewrapRun:
        """The run under way, or a new one; `rotate_sealing_key` gives Vault's key a new version before.

        Raises Unavailable.
        """
        occasion = Occasion(now=self.clock.now(), uid=self.new_uid())
        claimed = RewrapRun(
            uid=self.new_uid(),
            sealing_key_version=0,
            total=0,
            remaining=0,
            failed=0,
            start_time=occasion.now,
        )
        # Recorded before Vault is touched: a key that was rotated without a word about it would be worse than a word
        # about one that was not.
        run = await self.store.write(
            lambda transaction: _claim(transaction, claimed, author, occasion, rotate_sealing_key)
        )
        if run.uid != claimed.uid:
            return run
        try:
            version = await (self.vault.rotate_sealing_key() if rotate_sealing_key else self.vault.sealing_version())
        except GatehouseError:
            await self.store.write(
                lambda transaction: transaction.rewraps.put(replace(claimed, end_time=self.clock.now()))
            )
            raise
        return await self.store.write(lambda transaction: _set_out(transaction, claimed, version, self.clock.now()))

    async def progress(self) -> RewrapRun | None:
        """The last run, with what remains of it. Raises Unavailable."""
        return await self.store.read(lambda transaction: transaction.rewraps.get())

    async def go_on(self) -> bool:
        """Re-wrap the next batch of the run under way; whether there is more to do. Raises Unavailable."""
        run = await self.progress()
        if run is None or run.end_time is not None:
            return False
        if not run.sealing_key_version:
            return await self._adopt(run)
        batch = await self.store.read(
            lambda transaction: transaction.keys.wrapped_below(
                run.sealing_key_version, after=(run.after_uid, run.after_version), limit=MOST_TOGETHER
            )
        )
        rewrapped = (
            await self.vault.rewrap(
                [
                    Ciphertext(text=each.ciphertext, context=sealing_context(each.owner, each.key_uid, each.version))
                    for each in batch
                ]
            )
            if batch
            else []
        )
        for wrapped, ciphertext in zip(batch, rewrapped, strict=True):
            if ciphertext is None:
                self.refused(wrapped)
        return await self.store.write(lambda transaction: self._store(transaction, run, batch, rewrapped))

    async def _adopt(self, run: RewrapRun) -> bool:
        """Set out in the place of whoever claimed `run` and died before it knew Vault's version."""
        if self.clock.now() - run.start_time < _ABANDONED_AFTER:
            return False
        version = await self.vault.sealing_version()
        await self.store.write(lambda transaction: _set_out(transaction, run, version, self.clock.now()))
        return True

    def _store(
        self,
        transaction: KeyTransaction,
        run: RewrapRun,
        batch: Sequence[WrappedVersion],
        rewrapped: Sequence[str | None],
    ) -> bool:
        stored = transaction.rewraps.get()
        if stored is None or stored.uid != run.uid or stored.end_time is not None:
            return False
        for wrapped, ciphertext in zip(batch, rewrapped, strict=True):
            if ciphertext is not None:
                transaction.keys.replace_ciphertext(wrapped, ciphertext)
        # Another replica may have been here meanwhile: what it counted is not counted again.
        same = (stored.after_uid, stored.after_version) == (run.after_uid, run.after_version)
        left = _count_left(transaction, run, batch) if same else len(batch)
        failed = stored.failed + (left if same else 0)
        # Counting them all takes a while and holds up every other change: once, at the end of a pass.
        remaining = max(0, stored.remaining - (len(batch) - left))
        last = (stored.after_uid, stored.after_version)
        ended = False
        if same and batch:
            last = batch[-1].key_uid, batch[-1].version
        elif same:
            # What was being sealed when the run began may have been stored behind it: then once more from the start.
            remaining = transaction.keys.count_wrapped_below(run.sealing_key_version)
            ended = remaining <= failed
            last = ("", 0)
            failed = failed if ended else 0
        transaction.rewraps.put(
            replace(
                stored,
                remaining=remaining,
                failed=failed,
                end_time=self.clock.now() if ended else None,
                after_uid=last[0],
                after_version=last[1],
            )
        )
        return not ended


def _claim(
    transaction: KeyTransaction, claimed: RewrapRun, author: Author, occasion: Occasion, rotates: bool
) -> RewrapRun:
    """The run under way, or `claimed`, from now on under way."""
    other = transaction.rewraps.get()
    if other is not None and other.end_time is None:
        return other
    transaction.rewraps.put(claimed)
    transaction.audit.append(
        audit_event(
            author,
            "RewrapKeys",
            scope=PLATFORM,
            target="",
            now=occasion.now,
            uid=occasion.uid,
            details={"rotates_sealing_key": str(rotates).lower()},
        )
    )
    return claimed


def _set_out(transaction: KeyTransaction, claimed: RewrapRun, version: int, now: datetime) -> RewrapRun:
    """The run with what is to be done; it ends at once when that is nothing."""
    total = transaction.keys.count_wrapped_below(version)
    run = replace(claimed, sealing_key_version=version, total=total, remaining=total, end_time=None if total else now)
    transaction.rewraps.put(run)
    return run


def _count_left(transaction: KeyTransaction, run: RewrapRun, batch: Sequence[WrappedVersion]) -> int:
    """How many of `batch`, which follows what `run` has looked at, are not there yet.

    Those that Vault refused; and those it brought to an older version than it had when the run began, as one does that
    was restored from a backup: without counting these the run would never end.
    """
    left = transaction.keys.wrapped_below(
        run.sealing_key_version, after=(run.after_uid, run.after_version), limit=len(batch)
    )
    return len({(each.key_uid, each.version) for each in left} & {(each.key_uid, each.version) for each in batch})
