/* The only place where memory shared between workers is ordered. GCC's __atomic builtins, C11 semantics. */
#ifndef LACHAN_ATOMICS_H
#define LACHAN_ATOMICS_H

#include <stdint.h>

static inline uint32_t lachan_load_acquire(const uint32_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }

static inline uint32_t lachan_load_relaxed(const uint32_t *at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }

static inline void lachan_store_release(uint32_t *at, uint32_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }

/* Orders the plain reads before it against the load after it: a sequence lock's second read. */
static inline void lachan_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }

/* Orders a sequence lock's claim before the plain writes after it. */
static inline void lachan_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }

/* Two words that change together, 8-byte aligned: a sequence number, made odd, and who made it so. */
static inline int lachan_claim_as(uint32_t *at, uint32_t sequence, uint32_t last, uint32_t writer) {
  union { uint32_t words[2]; uint64_t both; } expected = {{sequence, last}}, wanted = {{sequence + 1, writer}};
  return __atomic_compare_exchange_n((uint64_t *)at, &expected.both, wanted.both, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static inline uint64_t lachan_load64(const uint64_t *at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }

static inline void lachan_store64(uint64_t *at, uint64_t value) { __atomic_store_n(at, value, __ATOMIC_RELAXED); }

static inline void lachan_store64_release(uint64_t *at, uint64_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }

#endif
