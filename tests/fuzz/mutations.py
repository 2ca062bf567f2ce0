"""Seeded mutations of a file's bytes, and the files of each kind that they start from."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import tiny

MOST_BYTES = 1_000_000
# What readers stumble over: numbers, nesting, quotes, marks, encodings, names of special tokens.
ODD = [
    *(
        b"",
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\r",
        b"\n\n",
        b"\t" * 50,
        b'"',
        b"'",
        b"\\",
        b"\x85",
    ),
    *(b"NaN", b"-1", b"1e999", b"9" * 400, b"0x1", b"1000000000", b"null", b"true", b"[]", b"{}", b"-0.0", b"inf"),
    *(
        b"[" * 5_000,
        b'{"a":' * 5_000,
        b"&a [*a,*a]",
        b"!!python/object:os.system",
        b"../../x",
        b"[SEP]",
        b"<a>" * 2_000,
    ),
    *(b"x" * 200_000, b" " * 100_000, "月亮".encode() * 20_000, b"\xcc\x81" * 10_000, b"&#1114112;", b"%s{0}$(x)"),
]


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Change a few places: bytes, odd values, chunks taken out, moved or repeated; or the end cut off."""
    for _ in range(draw.choice([1, 1, 1, 2, 4, 8])):
        at = draw.randrange(len(data) + 1)
        end = min(at + draw.choice([1, 1, 4, 16, 200]), len(data))
        kind = draw.randrange(6)
        if kind == 0 and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + draw.choice(ODD) + data[at:]
        elif kind == 2:
            data = data[:at] + draw.choice(ODD) + data[end:]
        elif kind == 3:
            data = data[:at] + data[end:]
        elif kind == 4:
            data = data[:at] + data[at:end] * draw.choice([2, 100]) + data[at:]
        else:
            data = (
                data[:at]
                if draw.random() < 0.3
                else data[:at] + data[draw.randrange(len(data) + 1) :][:300] + data[at:]
            )
    return data[:MOST_BYTES]


def odd_value(value: object, draw: random.Random) -> object:
    """Replace one value of a JSON tree by an odd one."""
    if isinstance(value, dict | list) and value and draw.random() < 0.85:
        key = draw.choice(list(value) if isinstance(value, dict) else range(len(value)))
        copy = value.copy()
        copy[key] = odd_value(value[key], draw)  # type: ignore[index,call-overload]
        return copy
    return draw.choice(
        [None, True, -1, 0, 1, 2, 2**31, 10**9, 2**63, 10**30, 1e308, "", "x", [], {}, [[]], ["x"], "\0"]
    )


def is_json(path: Path, data: bytes) -> bool:
    """Whether a file with the name of one holds JSON: the seal of a word index holds lines of digests."""
    if path.suffix != ".json":
        return False
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def change(path: Path, draw: random.Random) -> None:
    """Mutate a file in place: a JSON file's values as often as its bytes."""
    data = path.read_bytes()
    if is_json(path, data) and draw.random() < 0.6:
        path.write_text(json.dumps(odd_value(json.loads(data), draw)))
    elif path.suffix == ".gz" and draw.random() < 0.7:
        path.write_bytes(gzip.compress(mutated(gzip.decompress(data), draw)))
    else:
        path.write_bytes(mutated(data, draw))


PAGE = (
    "<html><head><meta charset=utf-8><title>The moon</title></head><body><h1>The moon</h1>"
    + "<p>The moon is a body of rock that turns around the earth in about a month, and it shows the same side.</p>" * 4
    + "<table><tr><td>a<td>b</table><ul><li>one<li>two</ul></body></html>"
)


def write_seeds(folder: Path) -> list[tuple[str, Path]]:
    """Write a small valid file of every format: (kind of reader, file)."""
    rows = tiny.pairs(range(4))
    objects = [dict(zip(("question", "passage", "label"), row, strict=True)) for row in rows]
    for name, separator in (("pairs.tsv", "\t"), ("pairs.csv", ",")):
        lines = [("question", "passage", "label"), *rows]
        (folder / name).write_text("".join(separator.join(map(str, line)) + "\n" for line in lines))
    (folder / "pairs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in objects))
    (folder / "pairs.jsonl.gz").write_bytes(gzip.compress((folder / "pairs.jsonl").read_bytes()))
    pq.write_table(pa.Table.from_pylist(objects), folder / "pairs.parquet")
    documents = [{"url": f"https://a.example/{n}", "title": "Moon", "text": "The moon is rock. " * 9} for n in range(3)]
    (folder / "documents.jsonl").write_text("".join(json.dumps(one) + "\n" for one in documents))
    pq.write_table(pa.Table.from_pylist(documents), folder / "documents.parquet")
    (folder / "page.html").write_text(PAGE)
    body = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{PAGE}"
    record = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://a.example/\r\n"
        "WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(body)}\r\n\r\n{body}\r\n\r\n"
    ).encode()
    (folder / "pages.warc").write_bytes(record * 2)
    (folder / "pages.warc.gz").write_bytes(gzip.compress(record) * 2)
    (folder / "run.trec").write_text("".join(f"q{n % 3} Q0 d{n} {n} {9 - n}.5 tag\n" for n in range(9)))
    (folder / "vectors.txt").write_text("".join(f"word{n} 0.1 -0.2 {n}e-1\n" for n in range(9)))
    tiny.write_recipe(folder / "tiny.yaml")
    kinds = {"pairs": "pairs", "documents": "documents", "page": "documents", "pages": "documents"}
    named = {"run": "run", "vectors": "vectors", "tiny": "recipe", **kinds}
    return [(named[path.name.partition(".")[0]], path) for path in sorted(folder.iterdir())]
