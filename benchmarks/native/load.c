// A steady writer: SIZE_MIB of a file, over and over, at RATE_MIB a second, in blocks of 1 MiB.
// What a stall has cost is not made up for: it is a load, not a debt.
//
//   load PATH RATE_MIB SIZE_MIB
//
// Prints "ready" when the file has once been written. Ends by SIGTERM.
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define MIB (1 << 20)

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char** argv) {
  if (argc != 4) errx(2, "usage: load PATH RATE_MIB SIZE_MIB");
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody is left to read it
  int64_t period = 1000000000 / strtol(argv[2], NULL, 10);
  long blocks = strtol(argv[3], NULL, 10);
  int file = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) err(1, "%s", argv[1]);
  char* block = malloc(MIB);
  memset(block, 0x5a, MIB);
  int64_t next = now();
  for (long i = 0;; i++) {
    if (i == blocks) {
      puts("ready");
      fflush(stdout);
    }
    if (pwrite(file, block, MIB, (off_t)(i % blocks) * MIB) != MIB) err(1, "%s", argv[1]);
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
