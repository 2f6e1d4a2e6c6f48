// The running magnitude of results that are stored one by one.
#pragma once

#include "kernels.h"

static inline tk_magnitude larger(tk_magnitude magnitude, float x) {
    tk_magnitude bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    bits &= 0x7fffffff;
    return bits > magnitude ? bits : magnitude;
}
