// Lines of pairs: 16 words of two bf16, the value of the even channel in the lower half. A file that includes this one
// has defined V and its operations as for dense_template.h.
#pragma once

// Floats, words of two bf16 and bf16, 16 at a time.
typedef float Floats __attribute__((ext_vector_type(16)));
typedef uint32_t Words __attribute__((ext_vector_type(16)));
typedef uint16_t Halves __attribute__((ext_vector_type(16)));
typedef uint16_t AllHalves __attribute__((ext_vector_type(32)));

// In structs, because vectors that the processor lacks have no settled calling convention.
typedef struct { Words w; } W;
// The running magnitude of both halves of lines.
typedef struct { AllHalves h; } P;

static INLINE W w_zero(void) { return (W){(Words)0u}; }
static INLINE W w_load(const uint32_t *p) { return (W){*(const Words *)p}; }
static INLINE void w_store(uint32_t *p, W a) { *(Words *)p = a.w; }
static INLINE W w_and(W a, W b) { return (W){a.w & b.w}; }
static INLINE W w_or(W a, W b) { return (W){a.w | b.w}; }
// The odd half alone, where the even one is.
static INLINE W w_lowered(W a) { return (W){a.w >> 16}; }
static INLINE W w_raised(W a) { return (W){a.w << 16}; }

static INLINE V w_bits(W a) {
    V v;
    __builtin_memcpy(&v, &a, sizeof v);
    return v;
}
// The values of the even and of the odd channel.
static INLINE V w_even(W a) { return w_bits((W){a.w << 16}); }
static INLINE V w_odd(W a) { return w_bits((W){a.w & 0xffff0000u}); }

// Every word of a line: the halves of the channels that are kept.
static INLINE W w_keeping(int even, int odd) {
    return (W){(Words)((even ? 0x0000ffffu : 0u) | (odd ? 0xffff0000u : 0u))};
}
// Whole words of the lanes whose bit is 1.
static INLINE W w_of_lanes(uint16_t lanes) {
    const Words bit = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    return (W){(Words)(((Words)(uint32_t)lanes & bit) != (Words)0u)};
}

// Values where those of the gate are > 0, else +0: bits of normal numbers and infinity that have no sign.
static INLINE W w_where_positive(W gate, W a) {
    AllHalves above = (AllHalves)gate.w - (AllHalves)(uint16_t)0x0080;
    return (W){(Words)((AllHalves)a.w & (AllHalves)(above <= (AllHalves)(uint16_t)0x7f00))};
}

// The ReLU: what is below zero, −infinity and −0 included, becomes +0.
static INLINE W w_rectified(W a) {
    AllHalves below = (AllHalves)a.w - (AllHalves)(uint16_t)0x8000;
    return (W){(Words)((AllHalves)a.w & (AllHalves)(below > (AllHalves)(uint16_t)0x7f80))};
}

// Of the words of two blocks of examples in the same pair of channels: pairs of examples of the even and of the odd
// channel.
static INLINE W w_evens(W a, W b) { return (W){(a.w & 0x0000ffffu) | (b.w << 16)}; }
static INLINE W w_odds(W a, W b) { return (W){(a.w >> 16) | (b.w & 0xffff0000u)}; }

static INLINE P p_zero(void) { return (P){(AllHalves)(uint16_t)0}; }
static INLINE P p_max(P p, W a) {
    return (P){__builtin_elementwise_max(p.h, (AllHalves)(a.w & 0x7fff7fffu))};
}
static INLINE tk_magnitude p_result(P p) { return (tk_magnitude)__builtin_reduce_max(p.h) << 16; }
