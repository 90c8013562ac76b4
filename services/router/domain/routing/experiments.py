"""Which arm of an experiment a user is in: the same one as long as the experiment's id and shares stay the same."""

from __future__ import annotations

import hashlib
from operator import attrgetter

from services.router.domain.route import Arm, Experiment

_BUCKETS = 10_000
_BUCKETS_PER_PERCENT = _BUCKETS // 100


_id = attrgetter("id")


def arm_of(experiment: Experiment, user: str) -> Arm | None:
    """The user's arm; None for a user in no arm's share. The same in every router.

    The experiment's name is part of the hash, so that experiments distribute users independently of each other.
    """
    digest = hashlib.blake2b(f"{experiment.name}\n{user}".encode(), digest_size=8).digest()
    bucket = int.from_bytes(digest, "big") % _BUCKETS
    end = 0
    # By id: in which order they are listed is no matter.
    for arm in sorted(experiment.arms, key=_id):
        end += arm.share_percent * _BUCKETS_PER_PERCENT
        if bucket < end:
            return arm
    return None
