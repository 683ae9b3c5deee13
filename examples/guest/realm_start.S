// A realm's vCPU begins here, at EL1 with the MMU off, and the board's address in x0.
        .section .text.start, "ax"
        .global start
start:
        adrp    x9, stack_top
        add     sp, x9, :lo12:stack_top
        b       guest_main

// void smc(uint64_t registers[10])
        .global smc
        .balign 16
smc:
        stp     x29, x30, [sp, #-32]!
        str     x0, [sp, #16]
        mov     x10, x0
        ldp     x0, x1, [x10]
        ldp     x2, x3, [x10, #16]
        ldp     x4, x5, [x10, #32]
        ldp     x6, x7, [x10, #48]
        ldp     x8, x9, [x10, #64]
        smc     #0
        ldr     x10, [sp, #16]
        stp     x0, x1, [x10]
        stp     x2, x3, [x10, #16]
        stp     x4, x5, [x10, #32]
        stp     x6, x7, [x10, #48]
        stp     x8, x9, [x10, #64]
        ldp     x29, x30, [sp], #32
        ret

        .section .bss
        .balign 4096
        .skip   0x8000
stack_top:
        .skip   16
