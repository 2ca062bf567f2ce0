/* What the processor supports. Compiled without vector instructions, so that any x86-64 processor can run it and ask. */
#include "kernel.h"
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

const int64_t tmkd_abi[9] = {TMKD_ABI,      sizeof(Int8Linear), sizeof(Bf16Linear), sizeof(LayerNorm), sizeof(Outliers),
                             sizeof(Layer), sizeof(LastLayer),  sizeof(Model),      sizeof(Batch)};

enum {
    F16C = 1 << 29,     /* CPUID leaf 1, ecx */
    AMX_BF16 = 1 << 22, /* leaf 7, edx; also the next two */
    AMX_TILE = 1 << 24,
    AMX_INT8 = 1 << 25,
    REQUEST_PERMISSION = 0x1023, /* Linux's ARCH_REQ_XCOMP_PERM */
    TILE_DATA = 18               /* Linux's XFEATURE_XTILEDATA */
};

/* __builtin_cpu_supports also asks whether the system saves the AVX-512 registers. clang's knows no f16c and no AMX. */
static int has_avx512_vnni(void) {
    unsigned a, b, c, d;
    __builtin_cpu_init();
    return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __get_cpuid(1, &a, &b, &c, &d) && (c & F16C);
}

/* Linux lends a process the tile registers only when asked. */
static int has_amx(void) {
    unsigned a, b, c, d;
    const unsigned all = AMX_BF16 | AMX_TILE | AMX_INT8;
    return __builtin_cpu_supports("avx512bf16") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & all) == all &&
           !syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA);
}

int tmkd_level(void) {
    if (!has_avx512_vnni()) return 0;
    return tmkd_compiled_level > 1 && has_amx() ? 2 : 1;
}
