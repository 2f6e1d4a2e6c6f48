// Loops of nothing but multiply-adds in registers, or of nothing but loads and stores: what a processor can do at most.
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

// Goes over three arrays side by side, `rounds` times: reads one, reads the next and writes it with the same values, and
// writes zeros to the last. Sizes in bytes, of which what does not fill a vector is left out; arrays aligned to 64 bytes.
void tk_stream(
    tk_isa isa, size_t rounds, const void *read, size_t read_bytes, float *updated, size_t updated_bytes, void *written,
    size_t written_bytes);

#endif
