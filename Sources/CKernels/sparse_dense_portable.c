#pragma STDC FP_CONTRACT OFF
#include "sparse_dense_isa.h"

#include "vectors_portable.h"

#define NAME(f) tk_portable_##f
#include "sparse_dense_template.h"
