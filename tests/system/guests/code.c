/* What may happen to a program whose code is overwritten: code MODE [LIBRARY]. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static int vmware(void) {
  unsigned eax, ebx, ecx, edx;
  __cpuid(0x40000000, eax, ebx, ecx, edx);
  return memcmp(&ebx, "VMwa", 4) == 0;
}

static int finish(int good) {
  puts(good ? "good" : "bad");
  fflush(stdout);
  return good ? 0 : 1;
}

/* The bytes of CPUID as a constant, as part of an address, as data that is jumped over, and as data
   after the end of a function that holds the instruction, too. */
uint32_t constant(void);
uint64_t distance(void);
uint32_t data_within(void);
uint32_t data_after(void);
__asm__(
    ".pushsection .text\n"
    "constant: .cfi_startproc\n mov $0xA20F, %eax\n ret\n .cfi_endproc\n"
    ".type constant, @function\n .size constant, .-constant\n"
    "distance: .cfi_startproc\n lea 0xA20F(%rip), %rax\n lea 0(%rip), %rcx\n sub %rcx, %rax\n"
    " ret\n .cfi_endproc\n .type distance, @function\n .size distance, .-distance\n"
    "data_within: .cfi_startproc\n mov 6f(%rip), %eax\n jmp 7f\n 6: .byte 0x0F, 0xA2, 0x90, 0x90\n"
    "7: ret\n .cfi_endproc\n .type data_within, @function\n .size data_within, .-data_within\n"
    "data_after: .cfi_startproc\n push %rbx\n .cfi_adjust_cfa_offset 8\n xor %eax, %eax\n cpuid\n"
    " pop %rbx\n .cfi_adjust_cfa_offset -8\n mov 8f(%rip), %eax\n ret\n .cfi_endproc\n"
    ".type data_after, @function\n .size data_after, .-data_after\n"
    "8: .byte 0x0F, 0xA2, 0x90, 0x90\n"
    ".popsection\n");

static int bytes(void) {
  return vmware() && constant() == 0xA20F && distance() == 0xA20F - 7 &&
         data_within() == 0x9090A20F && data_after() == 0x9090A20F;
}

static volatile int faults, traps;
static void on_signal(int number, siginfo_t* info, void* context) {
  ucontext_t* state = context;
  if (number == SIGILL) {
    faults += info->si_code > 0;
    state->uc_mcontext.gregs[REG_RIP] += 2;
  } else {
    ++traps;
  }
}

/* Its own traps are its own. */
static int own(void) {
  struct sigaction action = {0};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGILL, &action, NULL);
  sigaction(SIGTRAP, &action, NULL);
  int good = vmware();
  __asm__ volatile("ud2");
  __asm__ volatile("int3");
  raise(SIGTRAP);
  return good && vmware() && faults == 1 && traps == 2;
}

static const char* path;
static int load(int wanted) {
  void* library = dlopen(path, RTLD_NOW);
  int (*look)(void) = library ? (int (*)(void))dlsym(library, "look") : NULL;
  if (!look || look() != wanted) return 0;
  dlclose(library);
  return 1;
}

static void* load_in_thread(void* unused) {
  (void)unused;
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  int good = load(3) && load(3); /* the second time perhaps somewhere else */
  pthread_sigmask(SIG_SETMASK, NULL, &all);
  return good && sigismember(&all, SIGTRAP) == 1 && sigismember(&all, SIGILL) == 1 ? NULL : "bad";
}

static int library(void) {
  void* bad;
  pthread_t thread;
  pthread_create(&thread, NULL, load_in_thread, NULL);
  pthread_join(thread, &bad);
  pid_t child = fork();
  if (child == 0) _exit(load(3) && vmware() ? 7 : 8);
  int status = 0;
  waitpid(child, &status, 0);
  return !bad && WIFEXITED(status) && WEXITSTATUS(status) == 7 && load(3);
}

int main(int count, char** arguments) {
  const char* mode = count > 1 ? arguments[1] : "";
  path = count > 2 ? arguments[2] : "";
  if (!strcmp(mode, "bytes")) return finish(bytes());
  if (!strcmp(mode, "own")) return finish(own());
  if (!strcmp(mode, "library")) return finish(library());
  if (!strcmp(mode, "library_later")) {
    char byte;
    finish(vmware());
    if (read(0, &byte, 1) != 1) return 9;
    return finish(load(0) && !vmware());
  }
  return 99;
}
