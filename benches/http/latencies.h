/* Latencies counted in buckets, as HdrHistogram does: precise to 1 part in 64, from 1 ns to over a minute. */
#include <stdint.h>

enum { SUB_BITS = 6, BUCKETS = 40 << SUB_BITS };

static uint64_t latencies[BUCKETS];

/* An octave each, cut in 64. */
static int bucket_of(uint64_t ns)
{
    if (ns < 1 << SUB_BITS)
        return (int)ns;
    int octave = 63 - __builtin_clzll(ns) - SUB_BITS;
    int bucket = ((octave + 1) << SUB_BITS) + (int)(ns >> octave) - (1 << SUB_BITS);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* The largest value of a bucket. */
static uint64_t top_of(int bucket)
{
    int octave = (bucket >> SUB_BITS) - 1;
    if (octave < 0)
        return (uint64_t)bucket;
    uint64_t step = (uint64_t)(bucket & ((1 << SUB_BITS) - 1)) + (1 << SUB_BITS);
    return ((step + 1) << octave) - 1;
}

/* The latency that this share of `count` latencies does not exceed. */
static double percentile_us(double share, uint64_t count)
{
    uint64_t rank = (uint64_t)(share * (double)count), seen = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        seen += latencies[bucket];
        if (seen > rank)
            return (double)top_of(bucket) / 1e3;
    }
    return (double)top_of(BUCKETS - 1) / 1e3;
}
