// VMware inside the program itself, for LD_PRELOAD: the backdoor's instructions fault, the handler
// answers them at once. That is the least that a trap can cost without VMware, and it costs every
// program alike. It knows RPCI only and answers each request with "1" and the rest of the request
// (rpctool's own commands included). ECHO_HOST_LB=1: the low-bandwidth port only.
//
// CPUID says VMware, where the processor lets us catch it: rpctool asks. A program's own handlers
// for SIGSEGV are kept out, for vmtpy's probe would answer the fault itself.
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define MAGIC 0x564D5868u
#define CHANNELS 8
#define LIMIT (65536 + 8)
enum { SUCCESS = 1, DORECV = 2, HB = 0x80 };
enum { OPEN, SENDSIZE, SENDPAYLOAD, RECVSIZE, RECVPAYLOAD, RECVSTATUS, CLOSE };

struct channel {
  int open, waiting;
  uint32_t size, done;
  unsigned char data[LIMIT];  // the request, and then the reply, which is as long
};

static struct channel channels[CHANNELS];
static uint32_t high_bandwidth = HB;

static void answer_complete(struct channel* c) {
  c->data[0] = '1';
  if (c->size > 1) c->data[1] = ' ';
  c->waiting = 1;
  c->done = 0;
}

static void message(greg_t* r) {
  uint32_t step = (uint32_t)r[REG_RCX] >> 16, id = (uint32_t)r[REG_RDX] >> 16;
  uint32_t ebx = (uint32_t)r[REG_RBX], status = 0;
  struct channel* c = &channels[id % CHANNELS];
  switch (step) {
    case OPEN:
      for (id = 0; id < CHANNELS && channels[id].open; id++) continue;
      if (id == CHANNELS) break;
      memset(&channels[id], 0, offsetof(struct channel, data));
      channels[id].open = 1;
      r[REG_RDX] = (greg_t)(((uint32_t)r[REG_RDX] & 0xffffu) | id << 16);
      r[REG_RSI] = r[REG_RDI] = 0x1234;
      status = SUCCESS;
      break;
    case SENDSIZE:
      if (ebx > LIMIT) break;
      c->size = ebx;
      c->done = 0;
      status = SUCCESS | high_bandwidth;
      break;
    case SENDPAYLOAD:
      if (c->done + 4 > LIMIT) break;
      memcpy(c->data + c->done, &ebx, 4);
      c->done += 4;
      if (c->done >= c->size) answer_complete(c);
      status = SUCCESS;
      break;
    case RECVSIZE:
      status = SUCCESS;
      if (!c->waiting) break;
      r[REG_RBX] = c->size;
      r[REG_RDX] = (greg_t)(((uint32_t)r[REG_RDX] & 0xffffu) | 1 << 16);
      status |= DORECV | high_bandwidth;
      break;
    case RECVPAYLOAD:
      memcpy(&ebx, c->data + c->done, 4);
      c->done += 4;
      r[REG_RBX] = ebx;
      r[REG_RDX] = (greg_t)(((uint32_t)r[REG_RDX] & 0xffffu) | 2 << 16);
      status = SUCCESS;
      break;
    case RECVSTATUS:
      c->waiting = 0;
      status = SUCCESS;
      break;
    case CLOSE:
      c->open = 0;
      status = SUCCESS;
      break;
  }
  r[REG_RCX] = (greg_t)(((uint32_t)r[REG_RCX] & 0xffffu) | status << 16);
}

static void low(greg_t* r) {
  switch (r[REG_RCX] & 0xffff) {
    case 30:
      message(r);
      break;
    case 10:  // GETVERSION
      r[REG_RAX] = 6;
      r[REG_RBX] = MAGIC;
      r[REG_RCX] = 2;
      break;
    default:
      r[REG_RAX] = 0xffffffff;
  }
}

static void high(greg_t* r, int out) {
  struct channel* c = &channels[((uint32_t)r[REG_RDX] >> 16) % CHANNELS];
  size_t size = (size_t)r[REG_RCX];
  if (size > LIMIT) size = LIMIT;
  if (out) {
    memcpy(c->data, (void*)r[REG_RSI], size);
    answer_complete(c);
    r[REG_RSI] += (greg_t)size;
  } else {
    memcpy((void*)r[REG_RDI], c->data, size);
    r[REG_RDI] += (greg_t)size;
  }
  r[REG_RCX] = 0;
  r[REG_RBX] = (greg_t)((uint32_t)r[REG_RBX] & 0xffffu) | SUCCESS << 16;
}

static void cpuid(greg_t* r) {
  unsigned a = 0, b = 0, c = 0, d = 0, leaf = (unsigned)r[REG_RAX];
  syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
  __cpuid_count(leaf, (unsigned)r[REG_RCX], a, b, c, d);
  syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
  if (leaf == 1) c |= 1u << 31;
  if (leaf == 0x40000000) {
    a = 0x40000010;
    memcpy(&b, "VMwa", 4);
    memcpy(&c, "reVM", 4);
    memcpy(&d, "ware", 4);
  } else if (leaf > 0x40000000 && leaf < 0x40000100) {
    a = b = c = d = 0;
  }
  r[REG_RAX] = a;
  r[REG_RBX] = b;
  r[REG_RCX] = c;
  r[REG_RDX] = d;
}

static void handler(int number, siginfo_t* info, void* context) {
  (void)info;
  greg_t* r = ((ucontext_t*)context)->uc_mcontext.gregs;
  const unsigned char* code = (const unsigned char*)r[REG_RIP];
  if (code[0] == 0xed && (uint32_t)r[REG_RAX] == MAGIC) {
    low(r);
    r[REG_RIP] += 1;
  } else if (code[0] == 0xf3 && (code[1] == 0x6e || code[1] == 0x6c)) {
    high(r, code[1] == 0x6e);
    r[REG_RIP] += 2;
  } else if (code[0] == 0x0f && code[1] == 0xa2) {
    cpuid(r);
    r[REG_RIP] += 2;
  } else {
    signal(number, SIG_DFL);
  }
}

int sigaction(int number, const struct sigaction* action, struct sigaction* old) {
  static int (*real)(int, const struct sigaction*, struct sigaction*);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "sigaction");
  return real(number, number == SIGSEGV ? NULL : action, old);
}

__attribute__((constructor)) static void begin(void) {
  if (getenv("ECHO_HOST_LB") != NULL) high_bandwidth = 0;
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  int (*real)(int, const struct sigaction*, struct sigaction*);
  *(void**)&real = dlsym(RTLD_NEXT, "sigaction");
  real(SIGSEGV, &action, NULL);
  syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);  // fails where the processor cannot: so be it
}
