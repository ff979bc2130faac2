/* A program with as many ways to meet the emulated host as tests need: guest MODE [ARGUMENT].
   Each mode prints what it saw; exit code 0 if that is what a program on VMware sees. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAGIC 0x564D5868u

static const char* self;

static int version(void) {
  uint32_t eax = MAGIC, ebx = ~MAGIC, ecx = 10, edx = 0x5658;
  __asm__ volatile("inl %%dx, %%eax" : "+a"(eax), "+b"(ebx), "+c"(ecx), "+d"(edx));
  return ebx == MAGIC ? (int)eax : -1;
}

/* The same question by hypercall; all other registers must come back as they were. */
static int hypercall(const char* which) {
  uint64_t eax = MAGIC, ebx = ~MAGIC, ecx = 10, edx = 0, esi = 0x1234, edi = 0x5678;
  sigset_t all, now;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL); /* which the host must put back */
  if (!strcmp(which, "vmcall")) {
    __asm__ volatile("vmcall" : "+a"(eax), "+b"(ebx), "+c"(ecx), "+d"(edx), "+S"(esi), "+D"(edi));
  } else {
    __asm__ volatile("vmmcall" : "+a"(eax), "+b"(ebx), "+c"(ecx), "+d"(edx), "+S"(esi), "+D"(edi));
  }
  sigprocmask(SIG_SETMASK, NULL, &now);
  return eax == 6 && ebx == MAGIC && ecx == 2 && edx == 0 && esi == 0x1234 && edi == 0x5678 &&
         sigismember(&now, SIGSEGV) == 1 && sigismember(&now, SIGILL) == 1;
}

static int has_vmware_cpuid(void) {
  unsigned eax, ebx, ecx, edx;
  char name[13] = "";
  __cpuid(1, eax, ebx, ecx, edx);
  if (!(ecx >> 31)) return 0;
  __cpuid(0x40000000, eax, ebx, ecx, edx);
  memcpy(name, &ebx, 4);
  memcpy(name + 4, &ecx, 4);
  memcpy(name + 8, &edx, 4);
  if (eax < 0x40000010 || strcmp(name, "VMwareVMware") != 0) return 0;
  __cpuid(0x40000010, eax, ebx, ecx, edx);
  return eax != 0 && (ecx & 3) == 0; /* neither vmmcall nor vmcall */
}

static int finish(int good, const char* what) {
  printf("%s: %s\n", what, good ? "good" : "bad");
  fflush(stdout);
  return good ? 0 : 1;
}

static void* many_traps(void* unused) {
  (void)unused;
  for (int i = 0; i < 50; ++i) {
    if (version() != 6) return (void*)1;
  }
  return NULL;
}

static int threads(void) {
  pthread_t thread[8];
  void* bad = NULL;
  for (int i = 0; i < 8; ++i) pthread_create(&thread[i], NULL, many_traps, NULL);
  for (int i = 0; i < 8; ++i) {
    void* result;
    pthread_join(thread[i], &result);
    if (result) bad = result;
  }
  return finish(!bad, "threads");
}

static int child_status(pid_t child) {
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

static int forks(void) {
  pid_t child = fork();
  if (child == 0) _exit(version() == 6 && has_vmware_cpuid() ? 7 : 8);
  int status = child_status(child);
  return finish(WIFEXITED(status) && WEXITSTATUS(status) == 7 && version() == 6, "fork");
}

static int vfork_exec(void) {
  pid_t child = vfork();
  if (child == 0) {
    execl(self, self, "plain", (char*)NULL);
    _exit(99);
  }
  return finish(child_status(child) == 0 && version() == 6, "vfork");
}

static void* exec_in_thread(void* unused) {
  execl(self, self, "plain", (char*)NULL);
  return unused;
}

static int thread_exec(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, exec_in_thread, NULL);
  for (;;) pause();
}

static sigjmp_buf back;
static volatile siginfo_t seen;
static void on_fault(int number, siginfo_t* info, void* context) {
  (void)number;
  (void)context;
  seen = *info;
  siglongjmp(back, 1);
}

/* Faults that are none of the host's reach the program's own handler, unchanged. */
static int own_handler(void) {
  struct sigaction action = {0};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, NULL);
  int good = version() == 6;
  if (sigsetjmp(back, 1) == 0) {
    *(volatile int*)0x1234 = 1;
    return finish(0, "handler");
  }
  good &= seen.si_code == SEGV_MAPERR && seen.si_addr == (void*)0x1234;
  if (sigsetjmp(back, 1) == 0) { /* another port */
    __asm__ volatile("inl %%dx, %%eax" ::"a"(MAGIC), "d"(0x80));
    return finish(0, "handler");
  }
  good &= seen.si_code == SI_KERNEL;
  if (sigsetjmp(back, 1) == 0) { /* VMware's port without the magic number */
    __asm__ volatile("inl %%dx, %%eax" ::"a"(1), "d"(0x5658));
    return finish(0, "handler");
  }
  good &= seen.si_code == SI_KERNEL;
  seen.si_code = 0;
  if (sigsetjmp(back, 1) == 0) raise(SIGSEGV);
  good &= seen.si_code == SI_TKILL;
  return finish(good && version() == 6, "handler");
}

/* The kernel unblocks a signal that it has to deliver: the host must put the mask back. */
static int block_all(void) {
  sigset_t all, now;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  int good = 1;
  for (int i = 0; i < 3; ++i) good &= version() == 6 && has_vmware_cpuid();
  sigprocmask(SIG_SETMASK, NULL, &now);
  return finish(good && sigismember(&now, SIGSEGV) == 1, "mask");
}

static int job_control(void) {
  int seen[2];
  if (pipe(seen)) return finish(0, "pipe");
  pid_t child = fork();
  if (child == 0) {
    raise(SIGSTOP);
    char told;
    close(seen[1]);
    if (read(seen[0], &told, 1) != 0) _exit(7); /* lives until its going on was seen */
    _exit(version() == 6 ? 5 : 6);
  }
  int status;
  int good = waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status);
  good &= WSTOPSIG(status) == SIGSTOP;
  usleep(20000);
  good &= waitpid(child, &status, WNOHANG | WUNTRACED) == 0;
  kill(child, SIGCONT);
  good &= waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status);
  close(seen[1]);
  status = child_status(child);
  return finish(good && WIFEXITED(status) && WEXITSTATUS(status) == 5, "job control");
}

/* The instructions leave the registers as a completed string instruction does. */
static int high_bandwidth(void) {
  uint64_t a = MAGIC, b = 0x49435052 | 0x80000000u, c = 30, d = 0x5658, S = 0, D = 0;
  __asm__ volatile("inl %%dx, %%eax" : "+a"(a), "+b"(b), "+c"(c), "+d"(d), "+S"(S), "+D"(D));
  uint32_t channel = d & 0xFFFF0000, high = S, low = D;
  const char text[] = "info-get guestinfo.key";
  a = MAGIC, b = sizeof text - 1, c = 1 << 16 | 30, d = channel | 0x5658, S = high, D = low;
  __asm__ volatile("inl %%dx, %%eax" : "+a"(a), "+b"(b), "+c"(c), "+d"(d), "+S"(S), "+D"(D));
  a = MAGIC, b = 1 << 16, c = sizeof text - 1, d = channel | 0x5659, D = low;
  uint64_t source = (uint64_t)text;
  __asm__ volatile(
      "push %%rbp\n\tmov %6, %%rbp\n\tcld\n\trep outsb\n\tpop %%rbp"
      : "+a"(a), "+b"(b), "+c"(c), "+d"(d), "+S"(source), "+D"(D)
      : "r"((uint64_t)high)
      : "memory");
  int good = b >> 16 == 1 && c == 0 && source == (uint64_t)text + sizeof text - 1 && D == low;
  a = MAGIC, b = 0, c = 3 << 16 | 30, d = channel | 0x5658, S = high, D = low;
  __asm__ volatile("inl %%dx, %%eax" : "+a"(a), "+b"(b), "+c"(c), "+d"(d), "+S"(S), "+D"(D));
  char reply[64] = "";
  uint64_t size = b, target = (uint64_t)reply;
  a = MAGIC, b = 1 << 16, c = size, d = channel | 0x5659, S = high;
  __asm__ volatile(
      "push %%rbp\n\tmov %6, %%rbp\n\tcld\n\trep insb\n\tpop %%rbp"
      : "+a"(a), "+b"(b), "+c"(c), "+d"(d), "+S"(S), "+D"(target)
      : "r"((uint64_t)low)
      : "memory");
  good &= b >> 16 == 1 && c == 0 && target == (uint64_t)reply + size && S == high;
  return finish(good && strcmp(reply, "1 value") == 0, "high bandwidth");
}

/* Says "ready", then waits for a line on stdin before it looks. */
static int look_later(int (*look)(void)) {
  char byte;
  finish(1, "ready");
  if (read(0, &byte, 1) != 1) return 9;
  return finish(look(), "later");
}

static int cpuid_works(void) {
  unsigned eax, ebx, ecx, edx;
  __cpuid(0, eax, ebx, ecx, edx);
  return eax > 0;
}

static void* look_in_thread(void* unused) {
  _exit(look_later(cpuid_works));
  return unused;
}

/* The first thread ends before the others. */
static int first_thread_ends(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, look_in_thread, NULL);
  pthread_exit(NULL);
}

/* The parent stands still until the child of its vfork has ended. */
static int vfork_later(void) {
  pid_t child = vfork();
  if (child == 0) _exit(look_later(cpuid_works));
  return finish(child_status(child) == 0 && cpuid_works(), "parent");
}

/* Processes that bear children until a line is on stdin. CPUID may kill none of the children. */
static int births(void) {
  struct pollfd line = {0, POLLIN, 0};
  pid_t parents[8];
  int good = 1;
  finish(1, "ready");
  for (int i = 0; i < 8; ++i) {
    parents[i] = fork();
    while (parents[i] == 0 && poll(&line, 1, 0) == 0) {
      pid_t child = fork();
      if (child == 0) _exit(cpuid_works() ? 0 : 1);
      if (child_status(child) != 0) _exit(1);
    }
    if (parents[i] == 0) _exit(0);
  }
  for (int i = 0; i < 8; ++i) good &= child_status(parents[i]) == 0;
  return finish(good, "births");
}

static void* cpuid_in_thread(void* unused) {
  (void)unused;
  return has_vmware_cpuid() ? NULL : (void*)1;
}

static int cpuid(void) {
  pthread_t thread;
  void* bad;
  pthread_create(&thread, NULL, cpuid_in_thread, NULL);
  pthread_join(thread, &bad);
  return finish(!bad && has_vmware_cpuid(), "cpuid");
}

int main(int count, char** arguments) {
  self = arguments[0];
  const char* mode = count > 1 ? arguments[1] : "plain";
  if (!strcmp(mode, "plain")) return finish(version() == 6, "plain");
  if (!strcmp(mode, "threads")) return threads();
  if (!strcmp(mode, "fork")) return forks();
  if (!strcmp(mode, "vfork")) return vfork_exec();
  if (!strcmp(mode, "thread_exec")) return thread_exec();
  if (!strcmp(mode, "handler")) return own_handler();
  if (!strcmp(mode, "mask")) return block_all();
  if (!strcmp(mode, "job_control")) return job_control();
  if (!strcmp(mode, "high_bandwidth")) return high_bandwidth();
  if (!strcmp(mode, "cpuid")) return cpuid();
  if (!strcmp(mode, "cpuid_later")) return look_later(cpuid_works);
  if (!strcmp(mode, "first_thread_ends")) return first_thread_ends();
  if (!strcmp(mode, "vfork_later")) return vfork_later();
  if (!strcmp(mode, "births")) return births();
  if (!strcmp(mode, "hypercall")) return hypercall(arguments[2]) ? 0 : 1;
  if (!strcmp(mode, "fault")) *(volatile int*)0 = 1;
  if (!strcmp(mode, "exit")) return atoi(arguments[2]);
  if (!strcmp(mode, "kill")) return raise(atoi(arguments[2]));
  return 99;
}
