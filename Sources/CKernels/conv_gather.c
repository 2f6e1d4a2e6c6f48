#pragma STDC FP_CONTRACT OFF
#include "conv_gather_isa.h"
#include "dispatch.h"

size_t tk_conv_group(tk_isa isa) { DISPATCH(isa, conv_group); }

tk_magnitude tk_conv_gather(
    tk_isa isa, const tk_conv_plan *plan, const tk_conv_finish *finish, const float *weights, const float *source,
    size_t blocks, float *waiting, float *target) {
    DISPATCH(isa, conv_gather, plan, finish, weights, source, blocks, waiting, target);
}
