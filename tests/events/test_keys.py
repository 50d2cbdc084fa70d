import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_murmur2

from events.keys import Partitioner, murmur2, partition_of, partitions_of

keys = (
    st.binary(max_size=20)
    | st.text(max_size=70).map(str.encode)
    | st.just(b"")
    | st.binary(min_size=257, max_size=300)
)


@given(keys)
def test_murmur2_is_that_of_kafkas_own_clients(key: bytes) -> None:
    assert murmur2(key) == kafka_murmur2(key) & 0xFFFFFFFF


@given(keys, st.integers(1, 1000))
def test_crc32_is_that_of_librdkafka(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions, "crc32") == (zlib.crc32(key) & 0xFFFFFFFF) % partitions


@pytest.mark.parametrize("partitioner", ["murmur2", "crc32"])
@given(many=st.lists(keys, max_size=60), partitions=st.integers(1, 1000))
@example(many=[b"\0", b"\0\0", b"\0\0\0\0", b"a\0"] * 20, partitions=7)
@example(many=[b""] * 50, partitions=3)
def test_many_keys_are_partitioned_as_one(
    many: list[bytes], partitions: int, partitioner: Partitioner
) -> None:
    found = partitions_of(many, partitions, partitioner)

    assert found.tolist() == [partition_of(key, partitions, partitioner) for key in many]


def test_a_negative_hash_falls_on_a_partition_that_exists() -> None:
    """Kafka clears the sign bit; taking the absolute value would place these keys elsewhere."""
    negative = [key for key in (b"opp-%d" % i for i in range(100)) if murmur2(key) >= 2**31]

    assert negative
    assert {partition_of(key, 3, "murmur2") for key in negative} == {0, 1, 2}
