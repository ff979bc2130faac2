// A steady writer: SIZE_MIB of a file, over and over, at RATE_MIB a second, in blocks of 1 MiB.
// What a stall has cost is not made up for: it is a load, not a debt.
//
//   load PATH RATE_MIB SIZE_MIB [OUT CAPACITY]
//
// Prints "ready" when the file has once been written. OUT gets when each write began and how long it
// took, as writer.c's does. Ends by SIGTERM.
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define MIB (1 << 20)

struct entry {
  uint64_t begin, duration;
};

struct region {
  volatile uint64_t count, since;
  struct entry entries[];
};

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct region* share(const char* path, uint64_t capacity) {
  size_t size = sizeof(struct region) + capacity * sizeof(struct entry);
  int out = open(path, O_RDWR | O_CLOEXEC);
  if (out < 0 || ftruncate(out, (off_t)size) != 0) err(1, "%s", path);
  struct region* region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
  if (region == MAP_FAILED) err(1, "mmap");
  memset(region, 0, size);  // no page of it is to be faulted in later
  return region;
}

int main(int argc, char** argv) {
  if (argc != 4 && argc != 6) errx(2, "usage: load PATH RATE_MIB SIZE_MIB [OUT CAPACITY]");
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody is left to read it
  int64_t period = 1000000000 / strtol(argv[2], NULL, 10);
  long blocks = strtol(argv[3], NULL, 10);
  int file = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) err(1, "%s", argv[1]);
  char* block = malloc(MIB);
  memset(block, 0x5a, MIB);
  uint64_t capacity = argc == 6 ? strtoull(argv[5], NULL, 10) : 0;
  struct region* region = capacity ? share(argv[4], capacity) : NULL;
  int64_t next = now();
  for (long i = 0;; i++) {
    if (i == blocks) {
      puts("ready");
      fflush(stdout);
    }
    int64_t begin = now();
    if (region) region->since = (uint64_t)begin;
    if (pwrite(file, block, MIB, (off_t)(i % blocks) * MIB) != MIB) err(1, "%s", argv[1]);
    if (region && (uint64_t)i < capacity) {
      region->entries[i] = (struct entry){(uint64_t)begin, (uint64_t)(now() - begin)};
      region->since = 0;
      __atomic_store_n(&region->count, (uint64_t)i + 1, __ATOMIC_RELEASE);
    }
    next += period;
    int64_t wait = next - now();
    if (wait > 0) {
      struct timespec t = {wait / 1000000000, wait % 1000000000};
      nanosleep(&t, NULL);
    } else {
      next = now();
    }
  }
}
