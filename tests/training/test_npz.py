"""Array files that are damaged or come from somebody else: an error, and nothing is executed."""

import errno
import io
import os
import pickle
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from selfplay.files import npz
from tests.support.checkpoints import read_chunk
from training.preflight import machine


class Payload:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_no_array_file_executes_what_it_holds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "000000000000-000000000000.npz"
    np.savez(path, allow_pickle=True, ply=np.array([Payload()], object))
    with pytest.raises(ValueError, match=r"npz is damaged: .*objects"):
        read_chunk(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ply.npy", pickle.dumps(Payload()))
    with pytest.raises(ValueError, match="is damaged"):
        npz.read(path)
    assert not (tmp_path / "executed").exists()


def columns(count):
    rng = np.random.default_rng(0)
    return {
        "observation": rng.random((count, 3, 5, 2)) < 0.5,
        "legal_action_mask": rng.random((count, 8)) < 0.5,
        "policy_target": rng.random((count, 7)).astype(np.float16),
        "ply": np.arange(count, dtype=np.int32),
        "flag": rng.random(count) < 0.5,
        "empty": np.zeros((count, 0, 4), bool),
    }


@pytest.mark.parametrize("count", [0, 1, 13])
def test_examples_are_read_as_they_were_written_and_so_are_the_last_of_them(tmp_path, count):
    path, written = tmp_path / "x.npz", columns(count)
    with path.open("wb") as file:
        npz.write(file, written, "a comment")
    assert zipfile.ZipFile(path).comment == b"a comment"
    tail = npz.read_tail(path, [*written, "absent"], 5)
    for given, expected in ((npz.read(path), written), (tail, written)):
        assert given.keys() == expected.keys()
        for name, column in given.items():
            wanted = expected[name] if given is not tail else expected[name][-5:]
            np.testing.assert_array_equal(column, wanted, err_msg=name, strict=True)


@pytest.mark.parametrize(("first", "count"), [(0, 5), (4, 3), (11, 5), (13, 2), (50, 1), (2, 0)])
def test_examples_are_read_out_of_the_middle_as_a_slice_takes_them(tmp_path, first, count):
    path, written = tmp_path / "x.npz", columns(13)
    with path.open("wb") as file:
        npz.write(file, written)
    given = npz.read_rows(path, [*written, "absent"], first, count)
    assert given.keys() == written.keys()
    for name, column in given.items():
        expected = written[name][first : first + count]
        np.testing.assert_array_equal(column, expected, err_msg=name, strict=True)


def test_equal_examples_make_equal_files_and_booleans_take_a_bit_each():
    one, two = io.BytesIO(), io.BytesIO()
    for file in (one, two):
        npz.write(file, columns(1000))
    assert one.getvalue() == two.getvalue()
    plain = io.BytesIO()
    np.savez(plain, **columns(1000))
    assert len(one.getvalue()) < len(plain.getvalue()) - 1000 * (30 + 8) * 0.8


@pytest.mark.parametrize("held", [np.zeros((4, 3), np.uint8), np.zeros((4, 2), np.int8)])
def test_bits_that_are_not_as_many_as_their_name_says_are_damage(tmp_path, held):
    path = tmp_path / "x.npz"
    np.savez(path, **{"observation.bits.3x5": held})
    with pytest.raises(ValueError, match="does not hold rows of 15 bits"):
        npz.read(path)


def bomb(path, declared, size):
    """Writes an array file whose header declares a shape, over `size` zeros packed small."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (declared,)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(size))


def test_no_array_file_exhausts_memory(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    bomb(path, 10**15, 1000)
    with pytest.raises(ValueError, match="does not have the size that it declares"):
        npz.read(path)
    bomb(path, 10**6, 10**6)
    assert path.stat().st_size < 3000
    assert npz.read(path)["x"].shape == (10**6,)
    monkeypatch.setattr(npz, "largest", lambda: 10**5)
    with pytest.raises(ValueError, match=r"unpack to 1,000,\d+ bytes, more than fit"):
        npz.read(path)
    np.savez(path, **{"observation.bits.8": np.zeros((20_000, 1), np.uint8)})
    with pytest.raises(ValueError, match=r"unpack to 161,\d+ bytes, more than fit"):
        npz.read(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_has_no_bound_is_refused_before_it_is_opened(tmp_path, method):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", method) as archive, archive.open("x.npy", "w") as member:
        member.write(b"\0" * 50_000_000)
    content = path.read_bytes()  # 50 MB in some kilobytes, declared as 138 bytes
    path.write_bytes(content.replace((50_000_000).to_bytes(4, "little"), b"\x8a\0\0\0"))
    tracemalloc.start()
    with pytest.raises(ValueError, match="another method than deflate"):
        npz.read(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_many_members_and_nested_headers_are_damage(tmp_path, monkeypatch):
    path = tmp_path / "many.npz"
    monkeypatch.setattr(npz, "MOST_MEMBERS", 3)
    np.savez(path, **{f"a{n}": np.zeros(1) for n in range(4)})
    with pytest.raises(ValueError, match="4 arrays, more than 3"):
        npz.read(path)
    header = b"-" * 9000 + b"1\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ValueError, match="damaged"):
        npz.read(path)


def test_a_pipe_where_an_array_file_belongs_is_an_error_at_once(tmp_path):
    path = tmp_path / "x.npz"
    os.mkfifo(path)
    # Open at both ends, or a reader that opens it would hang this test.
    with open(os.open(path, os.O_RDWR), "rb"), pytest.raises(OSError, match=r"x\.npz is a .*pipe"):
        npz.read(path)


MACHINE = [  # of this machine, just now: the file may be right
    MemoryError(),
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.EIO, "Input/output error"),
    ImportError("no module named zlib"),
    LookupError("unknown encoding: cp437"),
    RuntimeError("can't start new thread"),
    RuntimeError("Compression requires the (missing) zlib module"),
]
CONTENT = [
    OSError(errno.EINVAL, "Invalid argument"),
    KeyError("There is no item named 'x' in the archive"),
    IndexError("index out of range"),
    NotImplementedError("strong encryption (flag bit 6)"),
    RuntimeError("File 'x.npy' is encrypted, password required for extraction"),
    RecursionError("maximum recursion depth exceeded"),
    EOFError(),
    OverflowError("too large"),
    zipfile.BadZipFile("Bad CRC-32"),
    zlib.error("invalid stored block lengths"),
]


@pytest.mark.parametrize("error", [*MACHINE, *CONTENT], ids=repr)
def test_a_fault_of_the_machine_is_no_damage_to_an_array_file(error, tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    np.savez(path, allow_pickle=False, x=np.arange(3))

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(np, "load", fail)
    with pytest.raises((ValueError, type(error))) as caught:
        npz.read(path)
    if error in MACHINE:
        assert caught.value is error
    else:
        assert isinstance(caught.value, ValueError)
        assert f"{path} is damaged" in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_a_container_allows_half_its_limit_and_has_left_what_is_not_used(
    names, tmp_path, monkeypatch
):
    monkeypatch.setattr(npz, "CGROUPS", ((str(tmp_path), *names),))
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert npz.container() is None
    assert npz.largest() == physical // 2
    (tmp_path / names[1]).write_text("900\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\n{names[2]} 300\n")
    (tmp_path / names[0]).write_text("max\n")
    assert npz.largest() == physical // 2
    (tmp_path / names[0]).write_text("5000\n")
    assert npz.largest() == 2500
    assert npz.container() == (5000, 5000 - 900 + 300)
    assert machine._host_bytes() == 4400
    (tmp_path / names[0]).write_text(f"{2**63 - 4096}\n")  # what v1 says for no limit
    assert npz.largest() == physical // 2


def test_rows_of_any_size_take_no_more_memory_than_is_allowed(tmp_path, monkeypatch):
    """A stranger's chunk: few bytes on disk, rows of 10 MB."""
    path = tmp_path / "000000000000-000000000099.npz"
    with path.open("wb") as file:
        npz.write(file, {"x": np.zeros((100, 10**7), np.uint8), "ply": np.arange(100)})
    monkeypatch.setattr(npz, "MOST_ROWS", 10**8)
    with pytest.raises(ValueError, match="bytes of rows, more than 100,000,000"):
        npz.read_tail(path, ["x"], 100)
    assert npz.read_rows(path, ["ply"], 90, 100)["ply"].tolist() == list(range(90, 100))
    tracemalloc.start()
    parts = npz.read_parts(path)
    assert sum(len(part["x"]) for part in parts) == 100
    assert tracemalloc.get_traced_memory()[1] < 3.5 * npz.PART
    tracemalloc.stop()


def test_parts_join_to_what_was_written(tmp_path, monkeypatch):
    path, written = tmp_path / "x.npz", columns(13)
    with path.open("wb") as file:
        npz.write(file, written)
    monkeypatch.setattr(npz, "PART", 200)
    parts = list(npz.read_parts(path))
    assert len(parts) > 3
    for name, column in written.items():
        joined = np.concatenate([part[name] for part in parts])
        np.testing.assert_array_equal(joined, column, err_msg=name, strict=True)
