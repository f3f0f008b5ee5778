// Runs CUDA kernels on the processor: what their sources use of CUDA's language, and a launch that
// runs one block after the other, each thread of a block as a fibre with a stack of its own.
//
// A fibre runs until it meets a barrier or its end, then the next of its warp has its turn. A warp
// runs until all of it waits for the block, so that what its instructions on matrix cores need is no
// barrier for other warps. Every other round goes through the warps, or through a warp, backwards, so
// that a missing barrier shows in one direction or the other. Shared memory is NaN when a block begins.

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <type_traits>
#include <ucontext.h>
#include <utility>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__ static thread_local

struct Extent {
    unsigned x, y, z;
};
static thread_local Extent threadIdx, blockIdx, blockDim, gridDim;

struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

static inline int min(int a, int b) { return a < b ? a : b; }
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
template <class Value> static inline Value __ldcs(const Value *from) { return *from; }
template <class Value> static inline void __stcs(Value *to, Value value) { *to = value; }
static inline float __fdividef(float a, float b) { return a / b; }
static inline unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

namespace emulator {

constexpr unsigned MOST_THREADS = 1024;
constexpr unsigned WARP = 32;
constexpr size_t STACK = 64 << 10;

typedef void (*Call)(void **arguments);
// What a fibre waits for.
enum State { NOTHING, ITS_WARP, ITS_BLOCK, DONE };

struct Fibre {
    ucontext_t start;
    jmp_buf place;
    bool begun;
    State state;
    void *stack;
};

// A thread's fibres, used again from block to block.
struct Fibres {
    Fibre *all = static_cast<Fibre *>(calloc(MOST_THREADS, sizeof(Fibre)));

    ~Fibres() {
        for (unsigned i = 0; i < MOST_THREADS; ++i) {
            free(all[i].stack);
        }
        free(all);
    }
};

static thread_local Fibres fibres;
static thread_local Fibre *running;
static thread_local jmp_buf scheduler;
static thread_local Call call;
static thread_local void **arguments;

__attribute__((noinline)) static void leave(State state) {
    running->state = state;
    if (!_setjmp(running->place)) {
        _longjmp(scheduler, 1);
    }
}

static void work() {
    for (;;) {
        call(arguments);
        leave(DONE);
    }
}

__attribute__((noinline)) static void enter(Fibre &fibre) {
    running = &fibre;
    if (_setjmp(scheduler)) {
        return;
    }
    if (fibre.begun) {
        _longjmp(fibre.place, 1);
    }
    fibre.begun = true;
    fibre.stack = malloc(STACK);
    getcontext(&fibre.start);
    fibre.start.uc_stack.ss_sp = fibre.stack;
    fibre.start.uc_stack.ss_size = STACK;
    fibre.start.uc_link = nullptr;
    makecontext(&fibre.start, work, 0);
    setcontext(&fibre.start);
}

// What all of the threads from `first` to `end` wait for, once it is no longer their warp; NOTHING
// where it is not one thing.
static State run_warp(unsigned first, unsigned end, bool backwards) {
    for (;;) {
        for (unsigned turn = first; turn < end; ++turn) {
            const unsigned i = backwards ? first + end - 1 - turn : turn;
            threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y,
                         i / blockDim.x / blockDim.y};
            enter(fibres.all[i]);
        }
        const State state = fibres.all[first].state;
        for (unsigned i = first; i < end; ++i) {
            if (fibres.all[i].state != state) {
                return NOTHING;
            }
        }
        if (state != ITS_WARP) {
            return state;
        }
        backwards = !backwards;
    }
}

// Whether all threads met the same barriers.
static bool run_block() {
    const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
    const unsigned warps = (threads + WARP - 1) / WARP;
    bool backwards = (blockIdx.x + blockIdx.y + blockIdx.z) % 2;
    for (;;) {
        unsigned waiting = 0, done = 0;
        for (unsigned turn = 0; turn < warps; ++turn) {
            const unsigned first = (backwards ? warps - 1 - turn : turn) * WARP;
            const State state = run_warp(first, min(first + WARP, threads), backwards);
            waiting += state == ITS_BLOCK;
            done += state == DONE;
        }
        if (waiting != warps) {
            return done == warps;
        }
        backwards = !backwards;
    }
}

// Arrays of shared memory that a thread of this block has come to.
struct Known {
    const void *all[16];
    unsigned count;
};
static thread_local Known known;

// Fills an array with NaN where no thread of this block has come to it before.
static void fresh(void *array, size_t bytes) {
    for (unsigned i = 0; i < known.count; ++i) {
        if (known.all[i] == array) {
            return;
        }
    }
    if (known.count == sizeof known.all / sizeof *known.all) {
        abort();
    }
    known.all[known.count++] = array;
    memset(array, 0xff, bytes);
}

// The shared memory that a launch gives, and what lies after it and must stay.
static thread_local unsigned char given[160 << 10] __attribute__((aligned(16)));
static thread_local unsigned given_bytes;
constexpr unsigned AFTER = 1 << 10;
constexpr unsigned char GUARD = 0x9e;

static uint4 *given_memory() {
    fresh(given, given_bytes);
    return (uint4 *)given;
}
static bool is_guarded() {
    for (unsigned i = 0; i < AFTER; ++i) {
        if (given[given_bytes + i] != GUARD) {
            return false;
        }
    }
    return true;
}

// A copy that has not been waited for.
struct Copy {
    const void *from;
    void *to;
    unsigned bytes;
};
// Those of a thread, the oldest first, and how many had been asked for when its groups ended.
struct Copies {
    Copy all[64];
    unsigned count;
    unsigned ends[16];
    unsigned groups;

    void add(Copy copy) {
        if (count == sizeof all / sizeof *all) {
            abort();
        }
        all[count++] = copy;
    }
    void end() {
        if (groups == sizeof ends / sizeof *ends) {
            abort();
        }
        ends[groups++] = count;
    }
    // Only now they are made: memory shows whether somebody read before.
    void wait(unsigned pending) {
        if (groups <= pending) {
            return;
        }
        const unsigned done = groups - pending, made = ends[done - 1];
        for (unsigned i = 0; i < made; ++i) {
            all[i].from ? memcpy(all[i].to, all[i].from, all[i].bytes)
                        : memset(all[i].to, 0, all[i].bytes);
        }
        memmove(all, all + made, (count - made) * sizeof *all);
        count -= made;
        for (unsigned i = done; i < groups; ++i) {
            ends[i - done] = ends[i] - made;
        }
        groups = pending;
    }
};
static thread_local Copies copies[MOST_THREADS];

// Whether no thread ended with copies on their way.
static bool are_copies_done(unsigned threads) {
    bool done = true;
    for (unsigned i = 0; i < threads; ++i) {
        done &= copies[i].count == 0;
        copies[i].count = copies[i].groups = 0;
    }
    return done;
}

enum Outcome {
    FINE,
    UNKNOWN_KERNEL,
    TOO_MANY_THREADS,
    PARTED_AT_A_BARRIER,
    OTHER_ARGUMENTS,
    BEYOND_ITS_MEMORY,
    COPIES_ON_THEIR_WAY
};

// The bytes of a launch's arguments.
struct Lengths {
    const size_t *all;
    size_t count;
};

template <class... Values> static bool fit(void (*)(Values...), Lengths lengths) {
    const size_t own[] = {sizeof(Values)...};
    return lengths.count == sizeof...(Values) && !memcmp(own, lengths.all, sizeof own);
}

static int run(Call kernel, const unsigned *grid, const unsigned *block, unsigned shared,
               void **values) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    if (block[0] * block[1] * block[2] > MOST_THREADS) {
        return TOO_MANY_THREADS;
    }
    if (shared + AFTER > sizeof given) {
        return BEYOND_ITS_MEMORY;
    }
    given_bytes = shared;
    memset(given + shared, GUARD, AFTER);
    call = kernel;
    arguments = values;
    for (unsigned z = 0; z < grid[2]; ++z) {
        for (unsigned y = 0; y < grid[1]; ++y) {
            for (unsigned x = 0; x < grid[0]; ++x) {
                blockIdx = {x, y, z};
                known.count = 0;
                if (!run_block()) {
                    return PARTED_AT_A_BARRIER;
                }
                if (!is_guarded()) {
                    return BEYOND_ITS_MEMORY;
                }
                if (!are_copies_done(block[0] * block[1] * block[2])) {
                    return COPIES_ON_THEIR_WAY;
                }
            }
        }
    }
    return FINE;
}

template <class... Values, size_t... Index>
static void apply(void (*kernel)(Values...), void **values, std::index_sequence<Index...>) {
    kernel(*static_cast<std::remove_cv_t<Values> *>(values[Index])...);
}

template <class... Values> static void apply(void (*kernel)(Values...), void **values) {
    apply(kernel, values, std::index_sequence_for<Values...>());
}

} // namespace emulator

static inline void __syncthreads() { emulator::leave(emulator::ITS_BLOCK); }

// The body of `emulate`, a line a kernel.
#define EMULATE(kernel)                                                                            \
    if (!strcmp(name, #kernel)) {                                                                  \
        if (!emulator::fit(kernel, {lengths, count})) {                                            \
            return emulator::OTHER_ARGUMENTS;                                                      \
        }                                                                                          \
        return emulator::run([](void **values) { emulator::apply(kernel, values); }, grid, block, \
                             shared, values);                                                      \
    }
