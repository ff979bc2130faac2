// The five instructions of the backdoor, each in a function: registers from memory, the
// instruction, registers back to memory. The functions are pure assembly because the host may
// change every register, so no compiler may keep anything in rbx, rbp or a red zone across the
// instruction. They rely on the layout of Registers, which backdoor.cpp checks.
#ifdef __x86_64__

// clang-format off
#define VMTPY_TRAP(NAME, INSTRUCTION)                                     \
  asm(".pushsection .text\n"                                              \
      ".p2align 4\n"                                                      \
      ".globl " NAME "\n"                                                 \
      ".hidden " NAME "\n"                                                \
      ".type " NAME ", @function\n"                                       \
      NAME ":\n"                                                          \
      ".cfi_startproc\n"                                                  \
      "  push %rbx\n"  ".cfi_adjust_cfa_offset 8\n" ".cfi_rel_offset %rbx, 0\n" \
      "  push %rbp\n"  ".cfi_adjust_cfa_offset 8\n" ".cfi_rel_offset %rbp, 0\n" \
      "  push %r12\n"  ".cfi_adjust_cfa_offset 8\n" ".cfi_rel_offset %r12, 0\n" \
      "  push %r13\n"  ".cfi_adjust_cfa_offset 8\n" ".cfi_rel_offset %r13, 0\n" \
      "  push %r14\n"  ".cfi_adjust_cfa_offset 8\n" ".cfi_rel_offset %r14, 0\n" \
      "  push %r15\n"  ".cfi_adjust_cfa_offset 8\n" ".cfi_rel_offset %r15, 0\n" \
      "  push %rdi\n"  ".cfi_adjust_cfa_offset 8\n" /* the frame's address */ \
      "  mov  0(%rdi), %rax\n"                                            \
      "  mov  8(%rdi), %rbx\n"                                            \
      "  mov 16(%rdi), %rcx\n"                                            \
      "  mov 24(%rdi), %rdx\n"                                            \
      "  mov 32(%rdi), %rsi\n"                                            \
      "  mov 48(%rdi), %rbp\n"                                            \
      "  mov 40(%rdi), %rdi\n"                                            \
      "  cld\n"                                                           \
      "  " INSTRUCTION "\n"                                               \
      "  xchg %rdi, (%rsp)\n" /* rdi: the frame; on the stack: the answer's rdi */ \
      "  mov %rax,  0(%rdi)\n"                                            \
      "  mov %rbx,  8(%rdi)\n"                                            \
      "  mov %rcx, 16(%rdi)\n"                                            \
      "  mov %rdx, 24(%rdi)\n"                                            \
      "  mov %rsi, 32(%rdi)\n"                                            \
      "  mov %rbp, 48(%rdi)\n"                                            \
      "  pop 40(%rdi)\n" ".cfi_adjust_cfa_offset -8\n"                    \
      "  pop %r15\n"  ".cfi_adjust_cfa_offset -8\n" ".cfi_restore %r15\n" \
      "  pop %r14\n"  ".cfi_adjust_cfa_offset -8\n" ".cfi_restore %r14\n" \
      "  pop %r13\n"  ".cfi_adjust_cfa_offset -8\n" ".cfi_restore %r13\n" \
      "  pop %r12\n"  ".cfi_adjust_cfa_offset -8\n" ".cfi_restore %r12\n" \
      "  pop %rbp\n"  ".cfi_adjust_cfa_offset -8\n" ".cfi_restore %rbp\n" \
      "  pop %rbx\n"  ".cfi_adjust_cfa_offset -8\n" ".cfi_restore %rbx\n" \
      "  cld\n"                                                           \
      "  ret\n"                                                           \
      ".cfi_endproc\n"                                                    \
      ".size " NAME ", . - " NAME "\n"                                    \
      ".popsection\n")

VMTPY_TRAP("vmtpy_backdoor_in", "in %dx, %eax");
VMTPY_TRAP("vmtpy_backdoor_outsb", "rep outsb");
VMTPY_TRAP("vmtpy_backdoor_insb", "rep insb");
VMTPY_TRAP("vmtpy_backdoor_vmcall", "vmcall");
VMTPY_TRAP("vmtpy_backdoor_vmmcall", "vmmcall");
// clang-format on

#endif
