#pragma STDC FP_CONTRACT OFF
#include "dense.h"

#include "vectors_portable.h"

#define ROWS 1
#define COLUMNS 1
#define GRADIENT_COLUMNS 1
#define BLOCK_ROWS 1
#define BLOCK_COLUMNS 1
#define PREFETCH 0
#define NAME(f) tk_portable_##f
#include "dense_template.h"
