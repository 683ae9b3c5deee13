# From the first instruction (32 bits, paging off) to guest_main() in 64 bits.

# What says in a guest address whether it is private: a TD's shared bit, or SEV's C-bit.
#ifdef GUEST_SEV
#define PRIVATE 0x8000000000000
#define SHARED 0
#else
#define PRIVATE 0
#define SHARED 0x800000000000
#endif

#ifndef GUEST_SEV
        .section .reset, "ax"
        .code32
        .fill 0xff0, 1, 0xf4
        mov $start32, %eax              # at 0xfffffff0
        jmp *%eax
        .balign 4096, 0xf4
#endif

        .section .text.start, "ax"
        .code32
        .global start32
start32:
        mov $pml4, %eax
        mov %eax, %cr3
        mov %cr4, %eax
        or $0x20, %eax                  # PAE
        mov %eax, %cr4
        mov $0xc0000080, %ecx           # EFER
        rdmsr
        or $0x100, %eax                 # LME
        wrmsr
        lgdt gdt_pointer
        mov %cr0, %eax
        or $0x80010000, %eax            # PG, WP
        mov %eax, %cr0
        ljmp $8, $start64

        .code64
start64:
        mov $16, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov $stack_end, %rsp
        mov %r8, %rdi                   # what the VMM gave the vCPU
        call guest_main
1:      hlt
        jmp 1b

#ifndef GUEST_SEV
# void tdcall(struct TdcallRegisters *): rax, rcx, rdx, r8 ... r15, rbx, rdi in
# this order, before and after.
        .text
        .global tdcall
tdcall:
        push %rbx
        push %r12
        push %r13
        push %r14
        push %r15
        push %rdi
        mov (%rdi), %rax
        mov 8(%rdi), %rcx
        mov 16(%rdi), %rdx
        mov 24(%rdi), %r8
        mov 32(%rdi), %r9
        mov 40(%rdi), %r10
        mov 48(%rdi), %r11
        mov 56(%rdi), %r12
        mov 64(%rdi), %r13
        mov 72(%rdi), %r14
        mov 80(%rdi), %r15
        mov 88(%rdi), %rbx
        mov 96(%rdi), %rdi
        .byte 0x66, 0x0f, 0x01, 0xcc    # TDCALL
        push %rdi
        mov 8(%rsp), %rdi
        mov %rax, (%rdi)
        mov %rcx, 8(%rdi)
        mov %rdx, 16(%rdi)
        mov %r8, 24(%rdi)
        mov %r9, 32(%rdi)
        mov %r10, 40(%rdi)
        mov %r11, 48(%rdi)
        mov %r12, 56(%rdi)
        mov %r13, 64(%rdi)
        mov %r14, 72(%rdi)
        mov %r15, 80(%rdi)
        mov %rbx, 88(%rdi)
        pop %rax
        mov %rax, 96(%rdi)
        pop %rdi
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbx
        ret
#endif

        .data
        .balign 8
gdt:    .quad 0
        .quad 0x00af9b000000ffff        # 64-bit code
        .quad 0x00cf93000000ffff        # data
gdt_pointer:
        .word gdt_pointer - gdt - 1
        .quad gdt

# The first 2 GiB as they are (private), then the same again as shared memory.
        .balign 4096
pml4:   .quad pdpt + 3 + PRIVATE
        .fill 511, 8, 0
pdpt:   .quad 0x83 + PRIVATE
        .quad 0x40000083 + PRIVATE
        .quad 0x83 + SHARED
        .quad 0x40000083 + SHARED
        .fill 508, 8, 0

        .bss
        .balign 16
        .skip 16384
stack_end:
        .section .note.GNU-stack, "", @progbits
