// SPDX-License-Identifier: Apache-2.0

/* What it would gain to lay a group of neurons' gate, up and down rows together in memory (a "bundle", as LLM in a Flash
 * has them on disk) instead of in three matrices: reads the rows of random groups both ways, from memory, one thread.
 *
 *     cc -O3 -march=native Benchmarks/gather-runs.c -o gather-runs && ./gather-runs
 *
 * For each width, group and share of the groups: GB/s apart, GB/s bundled, the ratio of the bests of seven alternating
 * passes, and GB/s of reading everything in order. What comes some 4 KiB later is prefetched, as the kernels do.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { ROUNDS = 7, LINE = 64, AHEAD = 4096 };
static const long total = 1L << 30;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

typedef uint32_t Line __attribute__((vector_size(LINE)));

static Line read_run(const uint8_t *p, long length, const uint8_t *next, Line sum) {
    for (long i = 0; i < length; i += LINE) {
        if (next) __builtin_prefetch(next + i);
        sum += *(const Line *)(p + i);
    }
    return sum;
}

static Line read_runs(const uint8_t *base, const long *starts, long count, long length, Line sum) {
    const long ahead = length >= AHEAD ? 1 : AHEAD / length;
    for (long i = 0; i < count; i++)
        sum = read_run(base + starts[i], length, base + starts[i + ahead < count ? i + ahead : count - 1], sum);
    return sum;
}

static double faster(double best, double bytes, double seconds) {
    const double speed = bytes / seconds * 1e-9;
    return speed > best ? speed : best;
}

static void compare(const uint8_t *memory, long width, long group, double share) {
    const long neurons = width * 8 / 3 / LINE * LINE, layer = 3 * neurons * width, layers = total / layer;
    long *bundles = malloc(sizeof(long) * neurons * layers), *rows = malloc(sizeof(long) * 3 * neurons * layers);
    double apart = 0, bundled = 0, sequential = 0;
    Line sum = {0};
    for (int round = 0; round < ROUNDS; round++) {
        long chosen = 0, runs = 0;
        for (long l = 0; l < layers; l++) {
            const long first = chosen;
            for (long g = 0; g < neurons / group; g++)
                if (drand48() < share) bundles[chosen++] = l * layer + 3 * g * group * width;
            for (int matrix = 0; matrix < 3; matrix++)
                for (long i = first; i < chosen; i++)
                    rows[runs++] = l * layer + matrix * neurons * width + (bundles[i] - l * layer) / 3;
        }
        const double bytes = (double)runs * group * width, start = now();
        sum = read_runs(memory, rows, runs, group * width, sum);
        const double middle = now();
        sum = read_runs(memory, bundles, chosen, 3 * group * width, sum);
        const double end = now();
        sum = read_run(memory, total / 4, NULL, sum);
        const double after = now();
        apart = faster(apart, bytes, middle - start);
        bundled = faster(bundled, bytes, end - middle);
        sequential = faster(sequential, total / 4, after - end);
    }
    volatile uint32_t used = sum[0];
    (void)used;
    printf("width %4ld, groups of %2ld, %2.0f %%: apart %5.1f, bundled %5.1f GB/s, %.2f times; in order %5.1f\n", width, group,
           100 * share, apart, bundled, bundled / apart, sequential);
    fflush(stdout);
    free(bundles);
    free(rows);
}

int main(void) {
    uint8_t *memory = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return perror("a gigabyte of memory"), 1;
    madvise(memory, total, MADV_HUGEPAGE);
    memset(memory, 1, total);
    const long widths[] = {256, 576, 768, 1536, 2048}, groups[] = {1, 8, 16};
    const double shares[] = {0.05, 0.12, 0.25};
    for (int w = 0; w < 5; w++)
        for (int g = 0; g < 3; g++)
            for (int s = 0; s < 3; s++) compare(memory, widths[w], groups[g], shares[s]);
}
