// The gathering convolutions of each instruction set, behind the choice in conv_gather.c.
#ifndef TOMBOLA_CONV_GATHER_ISA_H
#define TOMBOLA_CONV_GATHER_ISA_H

#include "conv_gather.h"
#include "dense.h"
#include "magnitude.h"

#define DECLARE(isa)                                                                                       \
    size_t tk_##isa##_conv_group(void);                                                                    \
    tk_magnitude tk_##isa##_conv_gather(                                                                   \
        const tk_conv_plan *, const tk_conv_finish *, const float *, const float *, size_t, float *, float *);

DECLARE(portable)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif
#undef DECLARE

#endif
