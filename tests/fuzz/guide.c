#include "guide.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MAP = 1 << 16, TOUCHED = 1 << 14, KEPT = 4096, WORDS = 256, PAIRS = 24, SIZE_MAX_ALL = 65536, BEFORE = 64, ROOM = 66560 };

/* What the parent reads. */
struct state {
  uint64_t executions;
  uint32_t size, kept, edges, reserved;
  char failure[256];
  uint8_t data[SIZE_MAX_ALL];
};

struct pair { uint64_t a, b; uint8_t width; };
struct entry { uint8_t *data; uint32_t size, pairs; struct pair pair[PAIRS]; };

extern void __asan_poison_memory_region(void const volatile *, size_t) __attribute__((weak));
extern void __asan_unpoison_memory_region(void const volatile *, size_t) __attribute__((weak));

static struct state *state;
static uint8_t *input, *rooms[2];
static uint32_t input_size, size_max;
static uint64_t random_state;
static double deadline;

static uint8_t counts[MAP], seen[MAP];
static uint32_t touched[TOUCHED], touched_count;
static uintptr_t previous;
static int armed;

static struct entry corpus[KEPT];
static uint32_t corpus_count;
static struct { uint8_t data[64]; uint32_t size; } words[WORDS];
static uint32_t word_count;
static struct pair pairs[PAIRS];
static uint32_t pair_count;

static uint32_t draw(uint32_t below) {
  /* xorshift64*, whose high half is the good one. */
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return below ? (uint32_t)(((random_state * 0x2545F4914F6CDD1DULL >> 32) * below) >> 32) : 0;
}

/* What the compiler calls. */

void __sanitizer_cov_trace_pc(void) {
  uintptr_t at;
  uint32_t cell;
  if (!armed) return;
  at = (uintptr_t)__builtin_return_address(0);
  at = (at ^ at >> 15) * 0x9E3779B1u;
  cell = (uint32_t)((at ^ previous) & (MAP - 1));
  previous = at >> 1;
  if (counts[cell]++ == 0) {
    if (touched_count < TOUCHED) touched[touched_count++] = cell; else counts[cell] = 0;
  } else if (counts[cell] == 0) {
    counts[cell] = 255;
  }
}

static inline void compared(uint64_t a, uint64_t b, uint8_t width) {
  if (!armed || a == b) return;
  uint32_t at = pair_count++;
  if (at >= PAIRS) {
    /* Of all comparisons, a sample. */
    at = draw(pair_count);
    if (at >= PAIRS) return;
  }
  pairs[at].a = a;
  pairs[at].b = b;
  pairs[at].width = width;
}

void __sanitizer_cov_trace_cmp1(uint8_t a, uint8_t b) { compared(a, b, 1); }
void __sanitizer_cov_trace_cmp2(uint16_t a, uint16_t b) { compared(a, b, 2); }
void __sanitizer_cov_trace_cmp4(uint32_t a, uint32_t b) { compared(a, b, 4); }
void __sanitizer_cov_trace_cmp8(uint64_t a, uint64_t b) { compared(a, b, 8); }
void __sanitizer_cov_trace_const_cmp1(uint8_t a, uint8_t b) { compared(b, a, 1); }
void __sanitizer_cov_trace_const_cmp2(uint16_t a, uint16_t b) { compared(b, a, 2); }
void __sanitizer_cov_trace_const_cmp4(uint32_t a, uint32_t b) { compared(b, a, 4); }
void __sanitizer_cov_trace_const_cmp8(uint64_t a, uint64_t b) { compared(b, a, 8); }
void __sanitizer_cov_trace_cmpf(float a, float b) { (void)a; (void)b; }
void __sanitizer_cov_trace_cmpd(double a, double b) { (void)a; (void)b; }
void __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases) {
  if (cases[0]) compared(value, cases[2 + draw((uint32_t)cases[0])], (uint8_t)(cases[1] / 8));
}

/* Mutations. `input` is written from its begin and moved to its place afterwards. */

static uint8_t work[SIZE_MAX_ALL * 2];
static uint32_t work_size;

static void insert(uint32_t at, const uint8_t *data, uint32_t size) {
  if (work_size + size > size_max) return;
  memmove(work + at + size, work + at, work_size - at);
  if (data) memcpy(work + at, data, size); else memset(work + at, (int)draw(256), size);
  work_size += size;
}

static void overwrite(uint32_t at, const uint8_t *data, uint32_t size) {
  if (at + size > size_max) return;
  memcpy(work + at, data, size);
  if (at + size > work_size) work_size = at + size;
}

static void put(uint8_t *out, uint64_t value, uint32_t width, int big) {
  uint32_t i;
  for (i = 0; i < width; i++) out[big ? width - 1 - i : i] = (uint8_t)(value >> 8 * i);
}

static void apply_pair(const struct entry *from) {
  /* What was compared stands in the input as it is, or an offset or two aside: put there what it was compared with. */
  static const uint8_t WIDTHS[] = {1, 2, 4, 8};
  uint8_t have[8], want[8];
  const struct pair *pair;
  uint32_t width, at, start;
  int big = draw(4) != 0;
  if (!from->pairs) return;
  pair = &from->pair[draw(from->pairs)];
  width = WIDTHS[draw(4)];
  if (width > pair->width) width = pair->width;
  put(have, pair->a, width, big);
  put(want, pair->b + draw(3) - 1, width, big);
  if (work_size < width) return;
  start = draw(work_size);
  for (at = 0; at + width <= work_size; at++) {
    uint32_t place = start + at;
    if (place + width > work_size) place = (place + width) % work_size;
    if (place + width <= work_size && memcmp(work + place, have, width) == 0) {
      memcpy(work + place, want, width);
      return;
    }
  }
  overwrite(draw(work_size), want, width);
}

static void mutate(const struct entry *from) {
  static const uint16_t NUMBERS[] = {0, 1, 2, 5, 6, 10, 12, 15, 28, 39, 41, 63, 64, 65, 127, 128, 192, 255, 256, 512, 1232,
                                     4096, 0x7FFF, 0x8000, 0xC000, 0xC00C, 0xFFFE, 0xFFFF};
  uint8_t number[4];
  uint32_t at = draw(work_size + 1), size, other;
  const struct entry *mate;
  switch (draw(14)) {
    case 0: if (work_size) work[at % work_size] ^= (uint8_t)(1u << draw(8)); break;
    case 1: case 2: if (work_size) work[at % work_size] = (uint8_t)draw(256); break;
    case 3: if (work_size) work[at % work_size] += (uint8_t)(draw(32) - 16); break;
    case 4: put(number, NUMBERS[draw(sizeof NUMBERS / 2)], 2, 1); overwrite(at, number, 2); break;
    case 5: put(number, draw(0xFFFFFFFF), 4, 1); overwrite(at, number, 4); break;
    case 6: insert(at, NULL, 1 + draw(16)); break;
    case 7:
      size = 1 + draw(draw(8) ? 8 : 64);
      if (at < work_size) {
        if (size > work_size - at) size = work_size - at;
        memmove(work + at, work + at + size, work_size - at - size);
        work_size -= size;
      }
      break;
    case 8:
      if (!work_size) break;
      other = draw(work_size);
      size = 1 + draw(work_size - other);
      if (size > 256) size = 256;
      if (draw(2)) {
        uint8_t block[256];
        memcpy(block, work + other, size);
        insert(at, block, size);
      } else if (at + size <= work_size) {
        memmove(work + at, work + other, size);
      }
      break;
    case 9: case 10:
      if (!word_count) break;
      other = draw(word_count);
      if (draw(2)) insert(at, words[other].data, words[other].size);
      else overwrite(at, words[other].data, words[other].size);
      break;
    case 11:
      mate = &corpus[draw(corpus_count)];
      if (!mate->size) break;
      other = draw(mate->size);
      work_size = at;
      size = mate->size - other;
      if (size > size_max - work_size) size = size_max - work_size;
      memcpy(work + work_size, mate->data + other, size);
      work_size += size;
      break;
    default: apply_pair(from);
  }
}

/* The loop's parts. */

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int guide_open(const char *path, uint64_t seed, uint32_t largest, double seconds) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || largest > SIZE_MAX_ALL || ftruncate(fd, sizeof *state)) return -1;
  state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (state == MAP_FAILED) return -1;
  size_max = largest;
  input = malloc(ROOM);
  rooms[0] = malloc(ROOM);
  rooms[1] = malloc(ROOM);
  random_state = seed | 1;
  deadline = now() + seconds;
  return input && rooms[0] && rooms[1] ? 0 : -1;
}

static void keep(const uint8_t *data, uint32_t size) {
  struct entry *entry = &corpus[corpus_count < KEPT ? corpus_count++ : draw(KEPT)];
  uint8_t *copy = malloc(size ? size : 1);
  if (!copy) return;
  memcpy(copy, data, size);
  free(entry->data);
  entry->data = copy;
  entry->size = size;
  entry->pairs = pair_count < PAIRS ? pair_count : PAIRS;
  memcpy(entry->pair, pairs, entry->pairs * sizeof *pairs);
  state->kept = corpus_count;
}

void guide_seed(const uint8_t *data, uint32_t size) {
  if (size <= size_max) keep(data, size);
}

void guide_word(const uint8_t *data, uint32_t size) {
  if (word_count == WORDS || size > sizeof words[0].data) return;
  memcpy(words[word_count].data, data, size);
  words[word_count++].size = size;
}

int32_t guide_next(void) {
  static uint32_t replayed;
  const struct entry *from;
  uint32_t rounds;
  if ((state->executions & 127) == 0 && now() >= deadline) return -1;
  if (!corpus_count) keep((const uint8_t *)"", 0);
  if (replayed < corpus_count && replayed < KEPT && state->executions == replayed) {
    /* Seeds first, as they are. */
    from = &corpus[replayed++];
    memcpy(work, from->data, work_size = from->size);
  } else {
    /* Half of the time what was found last. */
    from = &corpus[draw(2) ? draw(corpus_count) : corpus_count - 1 - draw(corpus_count < 64 ? corpus_count : 64)];
    memcpy(work, from->data, work_size = from->size);
    for (rounds = 1 + draw(draw(4) ? 4 : 16); rounds; rounds--) mutate(from);
  }
  if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(input + ROOM - input_size - BEFORE, BEFORE);
  input_size = work_size;
  memcpy(input + ROOM - input_size, work, input_size);
  /* The memory before it must not be read either. */
  if (__asan_poison_memory_region) __asan_poison_memory_region(input + ROOM - input_size - BEFORE, BEFORE);
  state->size = input_size;
  memcpy(state->data, work, input_size);
  return (int32_t)input_size;
}

const uint8_t *guide_data(void) { return input + ROOM - input_size; }

void guide_begin(void) {
  previous = 0;
  pair_count = 0;
  armed = 1;
}

void guide_end(void) {
  /* One, two, three, to 7, 15, 31, 127 and more times: as AFL counts. */
  uint32_t i, fresh = 0;
  armed = 0;
  for (i = 0; i < touched_count; i++) {
    uint8_t count = counts[touched[i]];
    uint8_t bit = count == 1 ? 1 : count == 2 ? 2 : count == 3 ? 4 : count < 8 ? 8 : count < 16 ? 16 : count < 32 ? 32
                  : count < 128 ? 64 : 128;
    counts[touched[i]] = 0;
    if (!(seen[touched[i]] & bit)) {
      fresh = 1;
      if (!seen[touched[i]]) state->edges++;
      seen[touched[i]] |= bit;
    }
  }
  touched_count = 0;
  if (fresh) keep(state->data, input_size);
  state->executions++;
}

uint8_t *guide_room(int which, uint32_t size) { return rooms[which] + ROOM - size; }

void guide_fail(const char *what) {
  strncpy(state->failure, what, sizeof state->failure - 1);
  fprintf(stderr, "does not hold: %s\n", what);
  abort();
}
