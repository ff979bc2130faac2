// A system call that touches no errno. It serves the guardian, whose threads share one errno or
// have none, and what the guardian calls. It returns what the kernel returns, which is -EINVAL and
// not -1, and relies on nothing but the processor.
#pragma once

namespace vmtpy {

#if defined __x86_64__
inline long bare_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  long result;
  register long r10 asm("r10") = d;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
               : "rcx", "r11", "memory");
  return result;
}
#elif defined __aarch64__
inline long bare_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
}
#else
#error "system calls are written for x86-64 and arm64 only"
#endif

}  // namespace vmtpy
