#pragma STDC FP_CONTRACT OFF
#include "conv_weight_gradient_isa.h"

#include "vectors_portable.h"

#define SLICES 1
#define OUTPUTS 1
#define WEIGHTS 1
#define NAME(f) tk_portable_##f
#include "conv_weight_gradient_template.h"
