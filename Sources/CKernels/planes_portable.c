#pragma STDC FP_CONTRACT OFF
#include "planes_isa.h"

#include "vectors_portable.h"

#define NAME(f) tk_portable_##f
#include "images_template.h"
#include "planes_template.h"
#include "planes_batch_norm_template.h"
