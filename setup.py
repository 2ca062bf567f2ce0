"""What pyproject.toml can't say yet: the int8 encoder in C. Where it does not compile, onnxruntime does its work."""

from setuptools import Extension, setup

INSTRUCTIONS = ("fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni", "avx512bf16")
TILES = ("amx-tile", "amx-int8", "amx-bf16")

setup(
    ext_modules=[
        Extension(
            "tmkd.bundle._kernel",
            sources=["src/kernel/encoder.c"],
            depends=["src/kernel/attention.h", "src/kernel/products.h", "src/kernel/rows.h"],
            extra_compile_args=["-O3", *(f"-m{name}" for name in INSTRUCTIONS + TILES)],
            optional=True,
        )
    ]
)
