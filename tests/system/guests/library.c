/* A library whose constructor and whose function look at CPUID. */
#include <cpuid.h>
#include <string.h>

static int vmware(void) {
  unsigned eax, ebx, ecx, edx;
  __cpuid(0x40000000, eax, ebx, ecx, edx);
  return memcmp(&ebx, "VMwa", 4) == 0;
}

static int at_start;
__attribute__((constructor)) static void start(void) { at_start = vmware(); }

/* Bit 0: now; bit 1: as it was loaded. */
int look(void) { return vmware() | at_start << 1; }
