"""Packed transfers of arrays keep values, shapes and dtypes."""

from typing import Any

import numpy as np
import pytest
import torch

from gio_pyro.collection.device_transfer import ALIGNMENT, pack, to_device, unpack

ARRAYS: dict[str, Any] = {
    "flags": np.array([True, False, True]),
    "numbers": np.arange(5) - 2,
    "image": np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3),
    "nothing": np.zeros((0, 4), dtype=np.float32),
    "one": np.array([7.5]),
    "state": np.arange(6, dtype=np.float32).reshape(3, 2).T,
    "reversed": np.arange(4, dtype=np.float32)[::-1],
}


def test_packed_arrays_are_unpacked_as_they_were():
    arrived = unpack(pack(ARRAYS), ARRAYS)
    for name, array in ARRAYS.items():
        assert torch.equal(arrived[name], torch.from_numpy(array.copy()))
        assert arrived[name].dtype == torch.from_numpy(array.copy()).dtype


def test_everything_is_in_one_buffer_and_aligned():
    buffer = pack(ARRAYS)
    arrived = unpack(buffer, ARRAYS)
    assert (buffer.dtype, buffer.ndim, len(buffer) % ALIGNMENT) == (torch.uint8, 1, 0)
    assert all((t.data_ptr() - buffer.data_ptr()) % ALIGNMENT == 0 for t in arrived.values() if t.numel())
    assert len({t.untyped_storage().data_ptr() for t in arrived.values() if t.numel()}) == 1


def test_on_the_cpu_nothing_is_shared_with_what_was_given():
    arrived = to_device(ARRAYS, torch.device("cpu"))
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrived[name].numpy(), array)
        assert not np.shares_memory(arrived[name].numpy(), array)


def test_another_device_is_reached_through_the_buffer():
    arrived = to_device(ARRAYS, torch.device("meta"))
    assert {name: (tuple(t.shape), t.device.type) for name, t in arrived.items()} == {
        name: (array.shape, "meta") for name, array in ARRAYS.items()
    }


@pytest.mark.cuda
def test_a_gpu_receives_what_was_sent():
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    arrived = to_device(ARRAYS, torch.device("cuda"))
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrived[name].cpu().numpy(), array)
