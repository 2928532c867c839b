"""Shard plans over random archives: every image once, bounds kept, work reused, names from content alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pytest

from facelib.ids import image_id, shard_name
from facelib.images.shards import (
    PLANNED,
    ListedImage,
    ShardPlan,
    ShardRows,
    ShardSettings,
    plan_shards,
    planned_rows,
)

pytestmark = pytest.mark.unit

SETTINGS = ShardSettings(shard_images=16, shard_bytes=2000)
EXTRACT_ID = "x1"
Known = dict[str, frozenset[str]]


def listing(n: int, seed: int, prefix: str = "", largest: int = 400) -> list[ListedImage]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, largest, n).tolist()
    uris = [f"s3://b/{rng.integers(10**9):09d}{prefix}{i}.jpg" for i in range(n)]
    return [ListedImage(image_id(u, f"e{s}"), u, f"e{s}", s) for u, s in zip(uris, sizes, strict=True)]


@dataclasses.dataclass(frozen=True)
class Packed:
    name: str
    members: tuple[ListedImage, ...]


@dataclasses.dataclass(frozen=True)
class Made:
    """A plan as Python objects: image_id → shard name, and the shards to compute."""

    assigned: dict[str, str]
    todo: tuple[Packed, ...]
    is_new: frozenset[str]


def columns(listed: list[ListedImage]) -> pa.Table:
    """The images sorted by uri, in chunks of uneven size."""
    rows = [dataclasses.asdict(i) for i in sorted(listed, key=lambda i: i.uri)]
    schema = pa.schema(
        [("image_id", pa.string()), ("uri", pa.string()), ("etag", pa.string()), ("size_bytes", pa.int64())]
    )
    parts = np.split(np.arange(len(rows)), sorted({1, len(rows) // 3, len(rows) // 2 + 1}))
    return pa.concat_tables(pa.Table.from_pylist([rows[i] for i in part], schema) for part in parts)


def remembered_rows(planned: Mapping[str, frozenset[str]]) -> pa.Table:
    """One table of one chunk per shard, as plans of several runs give."""
    parts = [
        pa.table([pa.array([name] * len(ids)).dictionary_encode(), pa.array(sorted(ids))], schema=PLANNED)
        for name, ids in planned.items()
        if ids
    ]
    return pa.concat_tables([PLANNED.empty_table(), *parts])


def made_of(found: ShardPlan, listed: pa.Table) -> Made:
    assigned = {i: found.names[n] for i, n in zip(listed.column("image_id").to_pylist(), found.shard_of, strict=True)}
    assert set(found.names) == set(assigned.values())
    return Made(assigned, tuple(Packed(s.name, s.members) for s in found.todo), found.is_new)


def plan(
    listed: list[ListedImage],
    planned: Known | None = None,
    finished: set[str] | None = None,
    extract_id: str = EXTRACT_ID,
) -> Made:
    rows = columns(listed)
    return made_of(plan_shards(rows, remembered_rows(planned or {}), finished or set(), extract_id, SETTINGS), rows)


def known(made: Made) -> Known:
    """What later plans remember of the work this plan found to do."""
    return {s.name: frozenset(m.image_id for m in s.members) for s in made.todo}


def plan_one_by_one(listed: list[ListedImage], planned: Known, finished: set[str]) -> Made:
    """The plan by its definition, one object after the other."""
    by_id = {image.image_id: image for image in listed}
    assigned: dict[str, str] = {}
    for name in sorted(finished & planned.keys()):
        for member in planned[name]:
            if member in by_id:
                assigned.setdefault(member, name)
    todo: list[Packed] = []
    for name in sorted(planned.keys() - finished):
        if all(m in by_id and m not in assigned for m in planned[name]):
            todo.append(Packed(name, tuple(sorted((by_id[m] for m in planned[name]), key=lambda i: i.uri))))
            assigned.update(dict.fromkeys(planned[name], name))
    new = [
        Packed(shard_name((m.image_id for m in members), EXTRACT_ID), tuple(members))
        for members in packed_one_by_one([i for i in by_id.values() if i.image_id not in assigned])
    ]
    for shard in new:
        assigned.update(dict.fromkeys((m.image_id for m in shard.members), shard.name))
    return Made(assigned, (*todo, *new), frozenset(s.name for s in new))


def packed_one_by_one(images: list[ListedImage]) -> Iterator[list[ListedImage]]:
    batch: list[ListedImage] = []
    size = 0
    for image in sorted(images, key=lambda i: (i.uri, i.etag)):
        if batch and (len(batch) >= SETTINGS.shard_images or size + image.size_bytes > SETTINGS.shard_bytes):
            yield batch
            batch, size = [], 0
        batch.append(image)
        size += image.size_bytes
    if batch:
        yield batch


def check(made: Made, listed: list[ListedImage], finished: set[str]) -> None:
    """Each listed image in exactly one shard, which either exists or is to be done with that image in it."""
    assert set(made.assigned) == {i.image_id for i in listed}
    names = [s.name for s in made.todo]
    assert len(set(names)) == len(names)
    assert not set(names) & finished
    work = [(m.image_id, s.name) for s in made.todo for m in s.members]
    assert len({i for i, _ in work}) == len(work)
    assert dict(work) == {i: n for i, n in made.assigned.items() if n not in finished}
    for shard in made.todo:
        assert shard.name == shard_name((m.image_id for m in shard.members), EXTRACT_ID)
        if shard.name in made.is_new:
            assert 1 <= len(shard.members) <= SETTINGS.shard_images
            size = sum(m.size_bytes for m in shard.members)
            assert size <= SETTINGS.shard_bytes or len(shard.members) == 1
    assert made.is_new <= set(names)


@pytest.mark.parametrize("seed", range(10))
def test_a_first_plan_covers_everything_within_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    listed = listing(int(rng.integers(0, 300)), seed, largest=int(rng.choice([10, 400, 5000])))
    made = plan(listed)
    check(made, listed, set())
    assert made.is_new == {s.name for s in made.todo}


def test_packing_is_not_wasteful() -> None:
    """Two neighbours never fit into one shard: otherwise they would have been one."""
    made = plan(listing(300, 1))
    for a, b in zip(made.todo, made.todo[1:], strict=False):
        together = sum(m.size_bytes for m in (*a.members, b.members[0]))
        assert len(a.members) == SETTINGS.shard_images or together > SETTINGS.shard_bytes


@pytest.mark.parametrize("seed", range(5))
def test_plans_do_not_depend_on_the_order_of_earlier_plans(seed: int) -> None:
    listed = listing(120, seed)
    first = known(plan(listed))
    finished = set(sorted(first)[::2])
    backwards = dict(reversed(first.items()))
    assert plan(listed, backwards, finished) == plan(listed, first, finished)
    twice = remembered_rows(first | {n: first[n] for n in sorted(first)[:3]})
    again = plan_shards(columns(listed), pa.concat_tables([twice, twice]), finished, EXTRACT_ID, SETTINGS)
    assert made_of(again, columns(listed)) == plan(listed, first, finished)


def test_a_listing_out_of_order_or_with_an_image_twice_is_refused() -> None:
    rows = columns(listing(30, 2))
    for wrong in (pa.concat_tables([rows[10:], rows[:10]]), pa.concat_tables([rows[:10], rows[9:]])):
        with pytest.raises(ValueError, match="sorted by uri"):
            plan_shards(wrong, PLANNED.empty_table(), (), EXTRACT_ID, SETTINGS)


def test_rows_and_memory_of_shards_are_those_of_their_members() -> None:
    rows = columns(listing(100, 12))
    made = plan_shards(rows, PLANNED.empty_table(), (), EXTRACT_ID, SETTINGS)
    members = [(s.name, [dataclasses.astuple(m) for m in s.members]) for s in made.todo]
    sent = [(name, list(zip(*values, strict=True))) for name, *values in ShardRows(made.todo)]
    assert sent == members
    assert len(ShardRows(made.todo)) == len(members)
    remembered = planned_rows(made.todo)
    assert remembered.schema == PLANNED
    pairs = [(row["shard"], row["image_id"]) for row in remembered.to_pylist()]
    assert pairs == [(name, m[0]) for name, ms in members for m in ms]


def test_nothing_is_left_to_do_when_all_shards_are_finished() -> None:
    listed = listing(200, 3)
    first = plan(listed)
    again = plan(listed, known(first), set(known(first)))
    assert again.todo == ()
    assert again.assigned == first.assigned


@pytest.mark.parametrize("seed", range(5))
def test_a_restarted_run_keeps_the_names_of_unfinished_shards(seed: int) -> None:
    listed = listing(200, seed)
    first = plan(listed)
    rng = np.random.default_rng(seed)
    finished = {s.name for s in first.todo if rng.random() < 0.5}
    again = plan(listed, known(first), finished)
    check(again, listed, finished)
    assert {s.name for s in again.todo} == {s.name for s in first.todo} - finished
    assert not again.is_new
    assert again.assigned == first.assigned


@pytest.mark.parametrize("seed", range(5))
def test_one_per_cent_more_objects_compute_only_themselves(seed: int) -> None:
    listed = listing(500, seed)
    first = plan(listed)
    added = listing(5, seed + 100, "new")
    again = plan(listed + added, known(first), set(known(first)))
    check(again, listed + added, set(known(first)))
    assert {m.image_id for s in again.todo for m in s.members} == {i.image_id for i in added}
    assert again.is_new == {s.name for s in again.todo}
    assert {i: again.assigned[i] for i in first.assigned} == first.assigned


@pytest.mark.parametrize("seed", range(5))
def test_deleted_objects_vanish_without_new_work(seed: int) -> None:
    listed = listing(300, seed)
    first = plan(listed)
    rng = np.random.default_rng(seed)
    kept = [i for i in listed if rng.random() < 0.8]
    again = plan(kept, known(first), set(known(first)))
    assert again.todo == ()
    assert again.assigned == {i.image_id: first.assigned[i.image_id] for i in kept}


def test_an_unfinished_shard_that_lost_a_member_is_packed_anew() -> None:
    listed = listing(40, 7)
    first = plan(listed)
    broken = first.todo[0]
    kept = [i for i in listed if i != broken.members[0]]
    again = plan(kept, known(first))
    check(again, kept, set())
    assert {s.name for s in first.todo[1:]} <= {s.name for s in again.todo}
    assert broken.name not in again.assigned.values()
    assert {m for s in again.todo if s.name in again.is_new for m in s.members} == set(broken.members[1:])


@pytest.mark.parametrize("finish", [False, True])
def test_an_object_that_comes_back_is_not_done_twice(finish: bool) -> None:
    """Its old shard and the one packed without it share members, so only one of them may be used whole."""
    listed = listing(40, 7)
    first = plan(listed)
    second = plan(listed[1:], known(first))
    remembered = known(first) | known(second)
    finished = {n for n in second.is_new if finish}
    third = plan(listed, remembered, finished)
    check(third, listed, finished)
    done = {i for n in finished for i in remembered[n]}
    assert not {m.image_id for s in third.todo for m in s.members} & done


def test_an_overwritten_object_is_new_and_its_old_version_vanishes() -> None:
    listed = listing(100, 8)
    first = plan(listed)
    old = listed[10]
    new = dataclasses.replace(old, etag="changed", image_id=image_id(old.uri, "changed"))
    now = [new if i == old else i for i in listed]
    again = plan(now, known(first), set(known(first)))
    assert [m for s in again.todo for m in s.members] == [new]
    assert old.image_id not in again.assigned


def test_another_extraction_has_other_names() -> None:
    listed = listing(100, 9)
    one, other = plan(listed), plan(listed, extract_id="x2")
    assert not {s.name for s in one.todo} & {s.name for s in other.todo}
    assert [s.members for s in one.todo] == [s.members for s in other.todo]


def test_finished_files_that_no_plan_knows_are_not_trusted() -> None:
    listed = listing(30, 10)
    first = plan(listed)
    again = plan(listed, {}, set(known(first)) | {"stray"})
    assert {s.name for s in again.todo} == {s.name for s in first.todo}


@pytest.mark.parametrize("seed", range(20))
def test_any_history_of_runs_keeps_the_promises(seed: int) -> None:
    """Archives that grow and shrink, runs that die half-way: brute-force checks after every plan."""
    rng = np.random.default_rng(seed)
    listed, remembered, finished = listing(80, seed), dict[str, frozenset[str]](), set[str]()
    for step in range(8):
        made = plan(listed, remembered, finished)
        assert made == plan_one_by_one(listed, remembered, finished)
        check(made, listed, finished)
        done_before = {i for n in finished for i in remembered[n]}
        assert not {m.image_id for s in made.todo for m in s.members} & done_before
        remembered |= known(made)
        finished |= {s.name for s in made.todo if rng.random() < 0.6}
        listed = [i for i in listed if rng.random() < 0.95] + listing(int(rng.integers(0, 20)), 1000 * seed + step, "s")


@pytest.mark.parametrize("field", ["shard_images", "shard_bytes", "read_threads"])
def test_bounds_below_one_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        ShardSettings(**{field: 0})


@pytest.mark.parametrize(("field", "value"), [("max_denied_share", 1.1), ("listing_resume_s", -1.0)])
def test_shares_and_times_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        ShardSettings(**{field: value})
