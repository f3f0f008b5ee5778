// The instructions of matrix cores (PTX, sm_80 and later).
//
// A warp multiplies 16 rows by 8 columns over a depth of 8 words. Thread `place` of group `group`
// (lane = 4 · group + place) holds of them
//
//   left    (group, place), (group + 8, place), (group, place + 4), (group + 8, place + 4)
//   right   (group, place), (group, place + 4)
//   sums    (group, 2 · place), (group, 2 · place + 1), (group + 8, 2 · place), (…, 2 · place + 1)
//
// as (row, word), (column, word), (row, column). A word is one value of TF32, or two of bf16, the
// lower half the first.

// Two values to the nearest bf16, ties to even.
__device__ inline unsigned bf16_pair(float low, float high) {
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

#define MMA(name, shape)                                                                           \
    __device__ inline void name(float (&sums)[4], const unsigned (&left)[4],                       \
                                const unsigned (&right)[2]) {                                      \
        asm("mma.sync.aligned." shape " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "            \
            "{%0, %1, %2, %3};"                                                                    \
            : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])                           \
            : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]),               \
              "r"(right[1]));                                                                      \
    }

MMA(mma_bf16, "m16n8k16.row.col.f32.bf16.bf16.f32")
MMA(mma_tf32, "m16n8k8.row.col.f32.tf32.tf32.f32")

// Matrices of 8 rows × 4 words in shared memory: lane 8 · i + r points to row r of matrix i, on a
// multiple of 16 bytes. Thread `place` of group `group` gets word `place` of row `group` of each.
__device__ inline void matrices(unsigned (&words)[4], const unsigned *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
}
// The same of bf16, turned over their diagonal: the thread gets values 2 · place and 2 · place + 1 of
// column `group`.
__device__ inline void turned_matrices(unsigned (&words)[4], const unsigned *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
}
// Two of them; the pointers of the other lanes are not read.
__device__ inline void turned_matrices(unsigned (&words)[2], const unsigned *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(words[0]), "=r"(words[1])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
}

// Copies from global to shared memory for which a thread does not wait, 8 or 16 bytes each, both
// on a multiple of that. What is not `there` is not read: zeros take its place.
template <int BYTES> __device__ inline void copy_later(const void *from, bool there, void *to) {
    static_assert(BYTES == 8 || BYTES == 16, "there are copies of these sizes");
    const unsigned place = __cvta_generic_to_shared(to);
    const int read = there ? BYTES : 0;
    if constexpr (BYTES == 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place), "l"(from), "r"(read)
                     : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(place), "l"(from), "r"(read)
                     : "memory");
    }
}
// The thread's copies since the last call become a group.
__device__ inline void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for all of the thread's groups but the last PENDING.
template <int PENDING> __device__ inline void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// An address in global memory that is worked out here, and not again for each use of it.
template <class Of> __device__ inline Of *settled(Of *address) {
    asm volatile("" : "+l"(address));
    // What is known of an address is lost on that way.
    __builtin_assume(__isGlobal(address));
    return address;
}
