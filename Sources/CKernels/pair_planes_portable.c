#pragma STDC FP_CONTRACT OFF
#include "pair_planes_isa.h"

#include "vectors_portable.h"
#include "pairs_rounded.h"

#define NAME(f) tk_portable_pairs_##f
#include "images_template.h"
#include "pair_planes_template.h"
#include "pair_planes_batch_norm_template.h"
