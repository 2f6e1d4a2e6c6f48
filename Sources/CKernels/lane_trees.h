// Sums over the 16 lanes of each of eight vectors, as the tree l + (l+8), l + (l+4), l + (l+2), l + (l+1): v_folded
// makes an H of a vector; h_eight's result has the eight sums in the order of its arguments.
#pragma once

typedef float floats8 __attribute__((ext_vector_type(8)));
// In a struct, because vectors that the processor lacks have no settled calling convention.
typedef struct { floats8 f; } H;

// l + (l+4) of a, then of b.
static INLINE H h_fours(H a, H b) {
    return (H){
        __builtin_shufflevector(a.f, b.f, 0, 1, 2, 3, 12, 13, 14, 15)
        + __builtin_shufflevector(a.f, b.f, 4, 5, 6, 7, 8, 9, 10, 11)};
}
// l + (l+2) in the halves of two results of h_fours.
static INLINE H h_twos(H a, H b) {
    return (H){
        __builtin_shufflevector(a.f, b.f, 0, 1, 8, 9, 4, 5, 12, 13)
        + __builtin_shufflevector(a.f, b.f, 2, 3, 10, 11, 6, 7, 14, 15)};
}
// l + (l+1) in two results of h_twos.
static INLINE H h_ones(H a, H b) {
    return (H){
        __builtin_shufflevector(a.f, b.f, 0, 2, 8, 10, 4, 6, 12, 14)
        + __builtin_shufflevector(a.f, b.f, 1, 3, 9, 11, 5, 7, 13, 15)};
}

// The sums of FOLDED(0) … FOLDED(7), + 0.0, one after the other, so that few of them are in registers at a time.
#define H_EIGHT(FOLDED)                                                                  \
    ((H){h_ones(h_twos(h_fours(FOLDED(0), FOLDED(4)), h_fours(FOLDED(1), FOLDED(5))),    \
            h_twos(h_fours(FOLDED(2), FOLDED(6)), h_fours(FOLDED(3), FOLDED(7)))).f + 0.0f})
