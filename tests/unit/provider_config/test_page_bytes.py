"""A page holds what a client takes, and making it costs no more than it holds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
from gatehouse.providerconfig.v1 import route_pb2

from services.provider_config.api.page_bytes import MAX_PAGE_BYTES, fitting
from services.provider_config.domain.versions import Version, newest_first
from tests.unit.provider_config.memory_store import NOW, MemoryVersions


def _messages(count: int, size: int = 10) -> Iterator[route_pb2.Route]:
    for _ in range(count):
        yield route_pb2.Route(description="x" * size)


@pytest.mark.parametrize(("count", "length", "more"), [(0, 0, False), (2, 2, False), (3, 3, False), (4, 3, True)])
def test_a_page_has_its_size_and_says_whether_there_are_more(count: int, length: int, more: bool) -> None:
    page, has_more = fitting(_messages(count), 3)
    assert (len(page), has_more) == (length, more)


def test_a_page_of_large_resources_is_shorter_but_never_empty() -> None:
    page, more = fitting(_messages(9, MAX_PAGE_BYTES // 3), 9)
    assert (len(page), more) == (2, True)
    page, more = fitting(_messages(2, MAX_PAGE_BYTES + 1), 9)
    assert (len(page), more) == (1, True)


def test_no_more_is_made_than_the_page_and_one() -> None:
    messages = _messages(1000, MAX_PAGE_BYTES // 3)
    fitting(messages, 1000)
    assert sum(1 for _ in messages) == 1000 - 3


class _Counted(MemoryVersions[str]):
    read = 0

    def page(self, uid: str, *, before: int | None, limit: int) -> list[Version[str]]:
        found = list(super().page(uid, before=before, limit=limit))
        self.read += len(found)
        return found


def test_versions_are_read_as_they_are_taken() -> None:
    versions = _Counted({}, "route")
    for number in range(1, 51):
        versions.add("u", Version(version=number, changed_by="", change_time=NOW, settings=""))
    assert [each.version for each in islice(newest_first(versions, "u", before=None), 3)] == [50, 49, 48]
    assert versions.read < 10
    assert [each.version for each in newest_first(versions, "u", before=30)] == list(range(29, 0, -1))
