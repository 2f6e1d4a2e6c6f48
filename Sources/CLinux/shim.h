// Linux calls that Swift's Glibc module leaves out, because they are variadic or GNU extensions.
#ifndef TOMBOLA_CLINUX_SHIM_H
#define TOMBOLA_CLINUX_SHIM_H

#include <fcntl.h>
#include <malloc.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

// Declared here because the headers show them only under _GNU_SOURCE, with which they would differ from those of
// Swift's Glibc.
extern int pipe2(int ends[2], int flags);
extern int sched_getaffinity(int process, size_t byte_count, void *set);

/// A counter that a poll can wait for; -1 and errno on failure.
static inline int linux_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

/// A pipe, read end first, neither end inherited; -1 and errno on failure.
static inline int linux_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

/// Asks the kernel to send `signal` to this process when the thread that started it ends; -1 and errno on failure.
static inline int linux_die_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, (unsigned long)signal, 0UL, 0UL, 0UL); }

/// Hands memory that was freed, and that the allocator keeps, back to the system.
static inline void linux_trim_memory(void) { (void)malloc_trim(0); }

/// Has blocks of 4 MiB and more go back to the system when they are freed, from now on. By itself glibc raises that
/// limit to 32 MiB as it goes, and on a thread other than the main one it keeps up to twice as much, which malloc_trim
/// does not give back either.
static inline void linux_return_large_blocks(void) { (void)mallopt(M_MMAP_THRESHOLD, 4 << 20); }

/// The number of CPUs this process may run on; -1 and errno on failure.
static inline int linux_affinity_count(void) {
    // Enough for 8,192 CPUs; the kernel refuses a set smaller than its own.
    unsigned long bits[128] = {0};
    if (sched_getaffinity(0, sizeof bits, bits) != 0) return -1;
    int count = 0;
    for (unsigned i = 0; i < sizeof bits / sizeof bits[0]; i++) count += __builtin_popcountl(bits[i]);
    return count;
}

#endif
