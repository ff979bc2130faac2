// RPC round trips by open-vm-tools' own library, called from C: Message_* of libvmtools.so.0.
//
//   message_client kept|one-shot SIZE COUNT
//
// Sends a request of SIZE bytes beginning with "bench" COUNT times and prints the nanoseconds of
// each round trip, one a line. Its prototypes are those of open-vm-tools' message.h, so that no
// development package is needed.
#include <dlfcn.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RPCI 0x49435052

static void* (*message_open)(uint32_t protocol);
static char (*message_send)(void* channel, const unsigned char* data, size_t size);
static char (*message_receive)(void* channel, unsigned char** data, size_t* size);
static char (*message_close)(void* channel);

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void* opened(void) {
  void* channel = message_open(RPCI);
  if (channel == NULL) errx(1, "Message_Open failed");
  return channel;
}

static void exchange(void* channel, const unsigned char* request, size_t size) {
  unsigned char* reply;
  size_t got;
  if (!message_send(channel, request, size)) errx(1, "Message_Send failed");
  if (!message_receive(channel, &reply, &got)) errx(1, "Message_Receive failed");
  if (got != size || reply[0] != '1')
    errx(1, "a reply of %zu bytes to a request of %zu", got, size);
}

int main(int argc, char** argv) {
  if (argc != 4) errx(2, "usage: message_client kept|one-shot SIZE COUNT");
  int kept = strcmp(argv[1], "kept") == 0;
  size_t size = strtoul(argv[2], NULL, 10);
  long count = strtol(argv[3], NULL, 10);
  void* library = dlopen("libvmtools.so.0", RTLD_NOW);
  if (library == NULL) errx(1, "%s", dlerror());
  *(void**)&message_open = dlsym(library, "Message_Open");
  *(void**)&message_send = dlsym(library, "Message_Send");
  *(void**)&message_receive = dlsym(library, "Message_Receive");
  *(void**)&message_close = dlsym(library, "Message_Close");
  if (!message_open || !message_send || !message_receive || !message_close) errx(1, "no Message_*");

  unsigned char* request = malloc(size);
  memset(request, 'x', size);
  memcpy(request, "bench ", 6);
  uint64_t* times = calloc((size_t)count, sizeof *times);
  void* channel = kept ? opened() : NULL;
  for (long i = 0; i < count; i++) {
    uint64_t begin = now();
    if (!kept) channel = opened();
    exchange(channel, request, size);
    if (!kept) message_close(channel);
    times[i] = now() - begin;
  }
  if (kept) message_close(channel);
  for (long i = 0; i < count; i++) printf("%llu\n", (unsigned long long)times[i]);
  return 0;
}
