#pragma STDC FP_CONTRACT OFF
#include "kernels.h"

#include <string.h>

// Reductions and minimax coefficients are those of fdlibm (Sun Microsystems, 1993: e_exp, e_log, k_sin, k_cos).
// Only + - * / are used, each IEEE-rounded, so no compiler flag and no instruction set moves a bit.

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double from_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static const double infinity = __builtin_inf();
static const double not_a_number = __builtin_nan("");
static const double least_normal = 0x1p-1022;

// ln 2 in two parts: the first has 32 trailing zero bits, so that n · ln2_high is exact for |n| < 2^11.
static const double ln2_high = 6.93147180369123816490e-01;
static const double ln2_low = 1.90821492927058770002e-10;

// 2^n · x for a normal x of magnitude near 1; 0 below the normal numbers.
static double scale(double x, int n) {
    if (n > 1023) return x * from_bits((uint64_t)(1023 + 1023) << 52) * from_bits((uint64_t)(n - 1023 + 1023) << 52);
    if (n >= -1021) return x * from_bits((uint64_t)(n + 1023) << 52);
    double raised = x * from_bits((uint64_t)(n + 100 + 1023) << 52);
    return raised < least_normal * 0x1p100 ? 0.0 : raised * 0x1p-100;
}

double tk_exp(double x) {
    if (x != x) return not_a_number;
    if (x > 709.782712893383973096) return infinity;
    if (x < -708.5) return 0.0;
    int n = (int)(x * 1.44269504088896338700e+00 + (x < 0 ? -0.5 : 0.5));
    double r_high = x - n * ln2_high;
    double r_low = n * ln2_low;
    double r = r_high - r_low;
    double t = r * r;
    double c = r
        - t * (1.66666666666666019037e-01
            + t * (-2.77777777770155933842e-03
                + t * (6.61375632143793436117e-05
                    + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
    double e = 1.0 - ((r_low - (r * c) / (2.0 - c)) - r_high);
    return scale(e, n);
}

// x = 2^n · m with m in [sqrt(1/2), sqrt(2)).
static int split(double x, double *m) {
    uint64_t bits = bits_of(x);
    int n = (int)(bits >> 52) - 1023;
    bits = (bits & 0x000fffffffffffff) | 0x3ff0000000000000;
    if (bits >= 0x3ff6a09e667f3bcd) {
        bits -= 0x0010000000000000;
        n += 1;
    }
    *m = from_bits(bits);
    return n;
}

double tk_log(double x) {
    if (x != x || x < 0) return not_a_number;
    if (x < least_normal) return -infinity;
    if (x == infinity) return infinity;
    double m;
    int n = split(x, &m);
    double f = m - 1.0;
    double s = f / (2.0 + f);
    double z = s * s;
    double w = z * z;
    double even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    double odd = z
        * (6.666666666666735130e-01
            + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    double half_square = 0.5 * f * f;
    return n * ln2_high - ((half_square - (s * (half_square + (odd + even)) + n * ln2_low)) - f);
}

// sin and cos of r + low for |r| <= pi/4.
static double sin_near(double r, double low) {
    double z = r * r;
    double v = z * r;
    double p = 8.33333333332248946124e-03
        + z * (-1.98412698298579493134e-04
            + z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)));
    return r - ((z * (0.5 * low - v * p) - low) - v * -1.66666666666666324348e-01);
}

static double cos_near(double r, double low) {
    double z = r * r;
    double p = z
        * (4.16666666666666019037e-02
            + z * (-1.38888888888741095749e-03
                + z * (2.48015872894767294178e-05
                    + z * (-2.75573143513906633035e-07
                        + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)))));
    double half = 0.5 * z;
    double w = 1.0 - half;
    return w + (((1.0 - w) - half) + (z * p - r * low));
}

// x = quadrant · pi/2 + r + low, |r| <= pi/4 and a little; pi/2 in three parts of 33 bits and a rest (Cody and Waite).
static int reduce(double x, double *r, double *low) {
    double turns = x * 6.36619772367581382433e-01;
    int n = (int)(turns + (turns < 0 ? -0.5 : 0.5));
    double a = x - n * 1.57079632673412561417e+00;
    double b = n * 6.07710050630396597660e-11;
    double c = a - b;
    double lost = (a - c) - b;
    double d = n * 2.02226624871116645580e-21;
    double e = n * 8.47842766036889956997e-32;
    double f = c - d;
    lost += (c - f) - d;
    lost -= e;
    *r = f + lost;
    *low = (f - *r) + lost;
    return n & 3;
}

double tk_cos(double x) {
    if (!(x >= -0x1p19 && x <= 0x1p19)) return not_a_number;
    double r, low;
    switch (reduce(x, &r, &low)) {
    case 0: return cos_near(r, low);
    case 1: return -sin_near(r, low);
    case 2: return -cos_near(r, low);
    default: return sin_near(r, low);
    }
}

double tk_sin(double x) {
    if (!(x >= -0x1p19 && x <= 0x1p19)) return not_a_number;
    double r, low;
    switch (reduce(x, &r, &low)) {
    case 0: return sin_near(r, low);
    case 1: return cos_near(r, low);
    case 2: return -sin_near(r, low);
    default: return -cos_near(r, low);
    }
}
