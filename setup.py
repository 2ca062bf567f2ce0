"""The compiled part of the package, which pyproject.toml cannot describe: the int8 encoder in C.

Where nothing compiles it, the package installs without it, and onnxruntime computes the int8 graph.
"""

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

KERNEL = "src/kernel"
HEADERS = ("attention", "elementwise", "kernel", "linear", "products", "rows", "tiles")
AVX512, AMX = f"@{KERNEL}/avx512.flags", f"@{KERNEL}/amx.flags"  # files of compiler flags


class BuildKernel(build_ext):
    """Compiles encoder.c apart: it has vector instructions, and processor.c must run on any processor."""

    def build_extension(self, ext: Extension) -> None:
        """Compile with AMX, without it where the compiler does not know it; then processor.c, and link."""
        try:
            ext.extra_objects = self._encoder(AVX512, AMX)
        except CompileError:
            ext.extra_objects = self._encoder(AVX512)
        super().build_extension(ext)

    def _encoder(self, *flags: str) -> list[str]:
        # -O3 unrolls the loops over a block's rows, whose sums are in registers then, and in memory with gcc 12's -O2:
        # 190 pairs/s instead of 380 (one core with AVX-512 VNNI, 3 layers of 384 channels, 62 token ids a pair).
        arguments = ["-O3", *flags]
        return self.compiler.compile([f"{KERNEL}/encoder.c"], self.build_temp, extra_postargs=arguments)


setup(
    cmdclass={"build_ext": BuildKernel},
    ext_modules=[
        Extension(
            "tmkd.bundle._kernel",
            sources=[f"{KERNEL}/processor.c"],
            depends=[
                f"{KERNEL}/encoder.c",
                *(f"{KERNEL}/{name}.h" for name in HEADERS),
                *(flags.removeprefix("@") for flags in (AVX512, AMX)),
            ],
            optional=True,
        )
    ],
)
