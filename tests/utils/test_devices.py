"""Devices by name."""

import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.utils.devices import device_from_name


def test_a_device_is_known_by_its_name():
    assert device_from_name("cpu") == torch.device("cpu")
    assert device_from_name("auto").type in ("cpu", "cuda")
    for name in ("gpu", "meta", "cuda:99", ""):
        with pytest.raises(InputError, match=f"Expected a device that is here, .*cpu, but got '{name}'; auto takes"):
            device_from_name(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_here_is_not_offered():
    with pytest.raises(
        InputError, match=r"^Expected a device that is here, cpu, but got 'cuda'; auto takes the first.$"
    ):
        device_from_name("cuda")
