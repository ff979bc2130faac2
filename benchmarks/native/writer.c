// Writers whose every write is timed: one thread for each PATH overwrites 4 KiB of a 1 MiB file
// over and over, and notes when each write began and how long it took.
//
//   writer OUT CAPACITY PAUSE_US PATH...
//
// OUT is a file on a tmpfs, mapped and shared with whoever reads it: for each path a header
// {count, beginning of the write under way or 0} and CAPACITY entries {begin, duration}; all are
// uint64 nanoseconds of CLOCK_MONOTONIC. Ends by SIGTERM.
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define FILE_SIZE (1 << 20)

struct entry {
  uint64_t begin, duration;
};

struct region {
  volatile uint64_t count, since;
  struct entry entries[];
};

struct job {
  int file;
  struct region* region;
};

static uint64_t capacity;
static struct timespec pause_time;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void* work(void* argument) {
  struct job* job = argument;
  static const char block[BLOCK] = {1};
  // The sleep is to be as long as was asked for: without this the kernel adds 50 us.
  prctl(PR_SET_TIMERSLACK, 1);
  for (uint64_t i = 0; i < capacity; i++) {
    uint64_t begin = now();
    job->region->since = begin;
    if (pwrite(job->file, block, BLOCK, (off_t)(i * BLOCK % FILE_SIZE)) != BLOCK) err(1, "pwrite");
    struct entry* entry = &job->region->entries[i];
    entry->begin = begin;
    entry->duration = now() - begin;
    job->region->since = 0;
    __atomic_store_n(&job->region->count, i + 1, __ATOMIC_RELEASE);
    nanosleep(&pause_time, NULL);
  }
  return NULL;
}

static int prepare(const char* path) {
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) err(1, "%s", path);
  char* blocks = calloc(1, FILE_SIZE);
  if (blocks == NULL || pwrite(file, blocks, FILE_SIZE, 0) != FILE_SIZE) err(1, "%s", path);
  free(blocks);
  if (fsync(file) != 0) err(1, "%s", path);
  return file;
}

int main(int argc, char** argv) {
  if (argc < 5) errx(2, "usage: writer OUT CAPACITY PAUSE_US PATH...");
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody is left to read it
  capacity = strtoull(argv[2], NULL, 10);
  pause_time.tv_nsec = strtol(argv[3], NULL, 10) * 1000;
  int count = argc - 4;
  size_t size = sizeof(struct region) + capacity * sizeof(struct entry);
  int out = open(argv[1], O_RDWR | O_CLOEXEC);
  if (out < 0 || ftruncate(out, (off_t)(size * (size_t)count)) != 0) err(1, "%s", argv[1]);
  char* shared = mmap(NULL, size * (size_t)count, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
  if (shared == MAP_FAILED) err(1, "mmap");
  memset(shared, 0, size * (size_t)count);  // no page of it is to be faulted in later

  struct job* jobs = calloc((size_t)count, sizeof *jobs);
  pthread_t thread;
  for (int i = 0; i < count; i++) {
    jobs[i].file = prepare(argv[4 + i]);
    jobs[i].region = (struct region*)(shared + size * (size_t)i);
  }
  mlockall(MCL_CURRENT | MCL_FUTURE);
  for (int i = 0; i < count; i++) {
    if (pthread_create(&thread, NULL, work, &jobs[i]) != 0) errx(1, "pthread_create");
  }
  pthread_join(thread, NULL);
  pause();
}
