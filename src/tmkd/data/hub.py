"""Data set of the Hugging Face hub → a Parquet file beside the user's own, read once by the package `datasets`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tmkd.errors import TmkdError, first_line, optional_import
from tmkd.recipe.parts import HubSpec, SourceSpec

_ROWS_AT_ONCE = 1000
MOST_BYTES = 4 << 30  # of the rows of a split


def source_path(source: SourceSpec, base: Path) -> Path:
    """Path of a source's file; the split of the hub that it is kept for is read first, where it is not there.

    Raises: TmkdError when the hub has no such split, cannot be reached, or has more than MOST_BYTES of it.
    """
    path = base / Path(source.file).expanduser()
    if source.hub is not None and not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _keep(source.hub, path)
        except OSError as error:
            raise TmkdError(f"{path}: cannot be written: {error.strerror}; give the source another file") from None
    return path


def _keep(hub: HubSpec, path: Path) -> None:
    """Write the rows of a split; a class is written by its name, so that no numbering of classes can be mistaken."""
    part, size = path.with_name(f".{path.name}.part"), 0
    writer: pq.ParquetWriter | None = None
    try:
        for rows in _batches(hub):
            size += rows.nbytes
            if size > MOST_BYTES:
                raise TmkdError(
                    f"{_told(hub)}: has more than {MOST_BYTES / 1e9:.0f} GB; download its files and name one as file"
                )
            writer = writer or pq.ParquetWriter(part, rows.schema, compression="zstd")
            writer.write_table(rows)
        if writer is None:
            raise TmkdError(f"{_told(hub)}: empty, it has no rows")
        writer.close()
        part.replace(path)
    finally:
        if writer is not None:
            writer.close()
        part.unlink(missing_ok=True)


def _batches(hub: HubSpec) -> Iterator[pa.Table]:
    """Rows of a split as they come from the hub, a thousand at once; no code of the data set is run."""
    with optional_import("data sets of the hub need", "datasets"):
        import datasets
    try:
        rows = datasets.load_dataset(hub.name, hub.config, split=hub.split, revision=hub.revision, streaming=True)
        classes = {
            name: feature.names
            for name, feature in (rows.features or {}).items()
            if isinstance(feature, datasets.ClassLabel)
        }
        for batch in rows.with_format("arrow").iter(batch_size=_ROWS_AT_ONCE):
            yield _with_names(batch, classes)
    except Exception as error:  # of the package, of the hub's client, of its transport
        if isinstance(error, TmkdError):
            raise
        raise TmkdError(
            f"{_told(hub)}: {first_line(error)[:300]}; check name, config and split, or give a file of your own"
        ) from error


def _with_names(rows: pa.Table, classes: Mapping[str, list[str]]) -> pa.Table:
    """Replace the numbers of classes by their names; −1, which stands for no label, by null."""
    for column, names in classes.items():
        numbers: Any = rows[column]
        known = pc.if_else(pc.less(numbers, 0), pa.scalar(None, numbers.type), numbers)
        place = rows.schema.get_field_index(column)
        rows = rows.set_column(place, column, pc.take(pa.array(names, pa.string()), known))
    return rows.replace_schema_metadata(None)


def _told(hub: HubSpec) -> str:
    config = f", config {hub.config}" if hub.config is not None else ""
    return f"hub data set {hub.name}{config}, split {hub.split}"
