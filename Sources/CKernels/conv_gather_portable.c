#pragma STDC FP_CONTRACT OFF
#include "conv_gather_isa.h"

#include "vectors_portable.h"

#define GROUP 1
#define GROUP_POSITIONS 1
#define POSITIONS 1
#define WIDE_ROWS 0
#define NAME(f) tk_portable_##f
#include "conv_gather_template.h"
