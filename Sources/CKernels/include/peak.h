// Loops of nothing but multiply-adds in registers: what a processor can do at most.
#ifndef TOMBOLA_PEAK_H
#define TOMBOLA_PEAK_H

#include "kernels.h"
#include "tile_kernels.h"

// Floating-point operations of a round, a multiply-add counting 2.
double tk_peak_operations(tk_isa isa);
double tk_tile_peak_operations(tk_tile_backend backend);

// Runs `rounds` rounds. The sum is returned so that none is left out.
float tk_peak_run(tk_isa isa, size_t rounds);
float tk_tile_peak_run(tk_tile_backend backend, size_t rounds);

#endif
