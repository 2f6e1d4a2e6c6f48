#pragma STDC FP_CONTRACT OFF
#include "tile_isa.h"

#include "vectors_portable.h"
#include "pairs_rounded.h"

#define DOT_ROWS 1
#define NAME(f) tk_portable_##f
#include "tile_emulated.h"
#include "tile_template.h"
