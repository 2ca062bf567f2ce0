/* Functions of 16 numbers at once, as polynomials. */
#pragma once
#include <immintrin.h>

/* x · Φ(x), within 1.5e-4: max(x, 0) − |x| · Φ(−|x|); the second term is a polynomial in |x| up to 3.875, and its value
   there, near 0, beyond. */
static inline __m512 gelu(__m512 x) {
    static const float terms[] = {0.0106326431f,  -0.061186303f, 0.149076361f,
                                  -0.0544914962f, -0.383804113f, 0.499036736f};
    enum { SMALLER_MAGNITUDE = 10 };
    __m512 size = _mm512_range_ps(x, _mm512_set1_ps(3.875f), SMALLER_MAGNITUDE), sum = _mm512_set1_ps(-0.000697577444f);
    for (int term = 0; term < 6; term++) sum = _mm512_fmadd_ps(sum, size, _mm512_set1_ps(terms[term]));
    /* max in this order of arguments: NaN stays NaN. */
    return _mm512_fnmadd_ps(sum, size, _mm512_max_ps(_mm512_setzero_ps(), x));
}

/* 2^x, with a relative error of 4e-6. */
static inline __m512 power_of_two(__m512 x) {
    static const float terms[] = {0.0516903595f, 0.241638444f, 0.692966123f, 1.0000037f};
    __m512 fraction = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512 sum = _mm512_set1_ps(0.0136976644f);
    for (int term = 0; term < 4; term++) sum = _mm512_fmadd_ps(sum, fraction, _mm512_set1_ps(terms[term]));
    return _mm512_scalef_ps(sum, x);
}

/* tanh(x) = 1 − 2 / (1 + e^2x). */
static inline __m512 hyperbolic_tangent(__m512 x) {
    const __m512 one = _mm512_set1_ps(1), two = _mm512_set1_ps(2);
    __m512 exponential = power_of_two(_mm512_mul_ps(x, _mm512_set1_ps(2 * 1.44269504f))); /* log2(e) = 1.4427 */
    return _mm512_sub_ps(one, _mm512_div_ps(two, _mm512_add_ps(one, exponential)));
}
