"""The arrays in a classifier's file from elsewhere: what is refused that isn't plain numbers, whole in the file."""

import h5py
import numpy as np
import pytest
from helpers.made_models import refused, small, temporary, unwritten_array, with_weights

from catdog.inspection import model_files
from catdog.inspection.layer_costs import Unfit
from catdog.inspection.model_files import check_objects

__all__ = ["small", "temporary"]

BOTH = pytest.mark.parametrize("ending", ["keras", "h5"])


def external_link(file: h5py.File) -> None:
    file["other"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft_link(file: h5py.File) -> None:
    file["other"] = h5py.SoftLink("/nowhere")


def external_array(file: h5py.File) -> None:
    file.create_dataset("other", (10,), "f4", external=[("/etc/passwd", 0, 40)])


def virtual_array(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((10,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (10,))
    file.create_virtual_dataset("other", layout)


def array_beyond_64_bits(file: h5py.File) -> None:
    file.create_dataset("other", (1 << 31, 1 << 31, 1), "f4", chunks=(1, 1, 1))


def packed_array(file: h5py.File) -> None:
    file.create_dataset("other", data=np.zeros(1_000_000, "f4"), compression="gzip")


def filled_array(file: h5py.File) -> None:
    file.create_dataset("other", (10**9,), "f4", chunks=(1_000_000,), fillvalue=1)


def texts(file: h5py.File) -> None:
    file.create_dataset("other", data=["x"], dtype=h5py.string_dtype())


def compound(file: h5py.File) -> None:
    file.create_dataset("other", (1,), np.dtype([("x", "f4")]))


def nothing_in_it(file: h5py.File) -> None:
    file["other"] = h5py.Empty("f4")


def named_type(file: h5py.File) -> None:
    file["other"] = np.dtype("f4")


def circle(file: h5py.File) -> None:
    file.create_group("other")["again"] = file["/"]


def second_name(file: h5py.File) -> None:
    file["other"] = file.create_dataset("one", data=[1.0])


def deep_groups(file: h5py.File) -> None:
    file.create_group("/".join("x" * 50))


def large_attribute(file: h5py.File) -> None:
    file.attrs["other"] = np.zeros(5_000, "f8")


def many_attributes(file: h5py.File) -> None:
    file.create_group("other").attrs.update({str(number): number for number in range(30)})


def references(file: h5py.File) -> None:
    file.attrs["other"] = file.ref


CHANGES = {
    external_link: "leads elsewhere, 'other'",
    soft_link: "leads elsewhere, 'other'",
    external_array: "lie in another file, '/other'",
    virtual_array: "lie in another file, '/other'",
    unwritten_array: "declares an array of 40,000 MB that isn't in it, '/other'",
    array_beyond_64_bits: "a compressed array, '/other'",
    packed_array: "a compressed array, '/other'",
    filled_array: "a compressed array, '/other'",
    texts: "something else than numbers, '/other'",
    compound: "something else than numbers, '/other'",
    nothing_in_it: "something else than numbers, '/other'",
    named_type: "neither a group nor an array",
    circle: "goes by two names",
    second_name: "goes by two names",
    deep_groups: "too deep in each other",
    large_attribute: "too large, 'other'",
    many_attributes: "more than 16 attributes, '/other'",
    references: "neither text nor numbers, 'other'",
}


@BOTH
@pytest.mark.parametrize("change", CHANGES)
def test_what_weights_are_not_is_refused(small, tmp_path, ending, change):
    path = with_weights(small, ending, change, tmp_path / f"model.{ending}")
    assert CHANGES[change] in refused(path)


@BOTH
def test_groups_and_arrays_without_end_are_refused(small, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(model_files, "MOST_OBJECTS", 140)
    path = tmp_path / f"model.{ending}"
    with_weights(small, ending, lambda file: [file.create_group(f"g{number}") for number in range(150)], path)
    assert "more than 140 groups and arrays" in refused(path)


def test_arrays_that_are_too_large_together_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(model_files, "MAX_BYTES", 1_500_000)
    with h5py.File(tmp_path / "model.h5", "w") as file:
        for name in "abc":
            file.create_dataset(name, data=np.ones(60_000))
        check_objects(file)
        file.create_dataset("d", data=np.ones(60_000))
        with pytest.raises(Unfit, match="arrays of more than 2 MB"):
            check_objects(file)
