// The backdoor on arm64, behind the same three functions as in backdoor_x86_64.cpp. arm64 has no
// ports, so VMware traps a read of the debug channel's status register, MDCCSR_EL0, and takes it
// for the x86 instruction that x7 describes. x0 … x6 stand for rax, rbx, rcx, rdx, rsi, rdi and
// rbp, in the order of Registers. As on x86 one trap moves a whole string. Sources: the Linux
// kernel's vmwgfx_msg_arm64.h, open-vm-tools' backdoorGcc64_arm64.c.
#ifdef __aarch64__

// Outside of VMware Linux forbids the register to user space (SIGILL). Emulators may read it as 0,
// and then leave every other register as it was. Nothing beyond x0 … x6 is changed.
//
// x7 has 0x86 in its upper half. Its lower half has the operand's size as a power of two (bits 0,
// 1), the direction inwards or outwards (2), "with registers" (3) and a string (4). The three
// values below are in eax, dx; rep outsb; rep insb.
// clang-format off
#define VMTPY_TRAP(NAME, X7)                                              \
  asm(".pushsection .text\n"                                              \
      ".p2align 4\n"                                                      \
      ".globl " NAME "\n"                                                 \
      ".hidden " NAME "\n"                                                \
      ".type " NAME ", @function\n"                                       \
      NAME ":\n"                                                          \
      ".cfi_startproc\n"                                                  \
      "  str x0, [sp, #-16]!\n" ".cfi_adjust_cfa_offset 16\n" /* the frame's address */ \
      "  mov x7, #" X7 "\n"                                               \
      "  movk x7, #0x86, lsl #32\n"                                       \
      "  ldp x5, x6, [x0, #40]\n"                                         \
      "  ldp x3, x4, [x0, #24]\n"                                         \
      "  ldp x1, x2, [x0, #8]\n"                                          \
      "  ldr x0, [x0]\n"                                                  \
      "  mrs xzr, mdccsr_el0\n"                                           \
      "  ldr x8, [sp], #16\n" ".cfi_adjust_cfa_offset -16\n"              \
      "  stp x0, x1, [x8]\n"                                              \
      "  stp x2, x3, [x8, #16]\n"                                         \
      "  stp x4, x5, [x8, #32]\n"                                         \
      "  str x6, [x8, #48]\n"                                             \
      "  ret\n"                                                           \
      ".cfi_endproc\n"                                                    \
      ".size " NAME ", . - " NAME "\n"                                    \
      ".popsection\n")

VMTPY_TRAP("vmtpy_backdoor_in", "0x0E");
VMTPY_TRAP("vmtpy_backdoor_outsb", "0x18");
VMTPY_TRAP("vmtpy_backdoor_insb", "0x1C");
// clang-format on

#endif
