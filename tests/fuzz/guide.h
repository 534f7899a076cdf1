/* Guides a fuzzer by what the compiled core executes: gcc calls back at every block and comparison (-fsanitize-coverage=
   trace-pc,trace-cmp), an input that reaches anything new is kept, and mutated in its turn. One thread, one target. */
#ifndef LACHAN_GUIDE_H
#define LACHAN_GUIDE_H

#include <stdint.h>

/* Opens the file that tells the parent where a run is, even after a crash. 0, or -1. */
int guide_open(const char *path, uint64_t seed, uint32_t size_max, double seconds);
/* A seed, and a word that mutations put in. */
void guide_seed(const uint8_t *data, uint32_t size);
void guide_word(const uint8_t *data, uint32_t size);
/* The next input, or -1 where the time is up: the bytes end where memory ends that may be read. */
int32_t guide_next(void);
const uint8_t *guide_data(void);
/* Around the target: only what runs between them counts. */
void guide_begin(void);
void guide_end(void);
/* A room of exactly so many bytes: `which` is 0 or 1, and what it held is gone. */
uint8_t *guide_room(int which, uint32_t size);
/* Something that must always hold does not: ends the process. */
void guide_fail(const char *what);

#endif
